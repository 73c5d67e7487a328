import type { Readable } from 'node:stream';
import { DefinitionError, type Source } from '@polyvisor/core';
import { describeSteps, describeTime, LAYOUT_NAMES, type OutlineStep, outlineKeystrokes } from '@polyvisor/machine';
import { openDefinition } from '../definition.js';
import { duration } from '../parse-option.js';
import { collect, type Configure } from '../program.js';

/** Characters of standard input that are read at most; keystrokes may have fewer. */
const MOST_INPUT = 100_000;

/** What would be typed for one source, or for the command line. */
interface Typed {
  readonly layout: string;
  /** Number of the source in its definition, counted from 1. */
  readonly source?: number;
  /** From power-on to the first key, in milliseconds. */
  readonly wait?: number;
  readonly steps: readonly OutlineStep[];
}

export const configure: Configure = (command, session) => {
  command
    .argument('[text...]', 'keystroke notation, - for standard input; several texts follow each other')
    .option('--definition <definition>', 'name, folder or file of a definition, to see what its installers are typed')
    .option('--layout <name>', `keyboard layout of the guest: ${LAYOUT_NAMES.join(', ')}; by default us`)
    .option('--pause <time>', 'wait after each text (veewee: 0.5)', duration)
    .option('--var <name=value>', 'give a variable of the definition a value (repeatable)', collect)
    .option('--var-file <file>', 'file with values for variables: YAML, JSON or name=value lines (repeatable)', collect)
    .addHelpText(
      'after',
      `
Nothing is typed and no machine is started. Below each text are the keys that go down, named as on US keyboards.
docs/keystrokes.md has the notation; it reads that of veewee and of Packer.

Examples:
  $ polyvisor keystrokes '<esc>auto url=http://%IP%:%PORT%/preseed.cfg<enter>'
  $ polyvisor keystrokes --layout de 'root<enter>' '<wait until screen is still>ls /<enter>'
  $ polyvisor keystrokes --definition debian-12-installer`,
    )
    .action(async (texts, options) => {
      const run = session();
      const { layout = 'us', pause } = options;
      if ((texts.length === 0) === (options.definition === undefined)) {
        throw new DefinitionError('keystrokes-missing', 'what is to be typed is given as text or by --definition', {
          hint: "polyvisor keystrokes '<esc>install<enter>'",
        });
      }
      if (options.definition === undefined) {
        const given = await Promise.all(
          texts.map(async (text) => (text === '-' ? lines(run.io.stdin, run.signal) : [text])),
        );
        const steps = outlineKeystrokes(given.flat(), { layout, pause });
        return run.answer({ command: 'keystrokes', typed: [{ layout, steps }] }, describeSteps(steps).join('\n'));
      }
      const definition = await openDefinition(run, options.definition, options, { targets: false, provisioner: false });
      const { sources = [definition.appliance.source] } = definition as { readonly sources?: readonly Source[] };
      const typed = sources.flatMap((source, index): Typed[] => {
        if (source.kind !== 'installer' || source.start === 'direct' || source.typing.command.length === 0) return [];
        const { command: written, wait, ...typing } = source.typing;
        const chosen = { layout: options.layout ?? typing.layout, pause };
        const steps = outlineKeystrokes(written, { ...chosen, file: definition.file });
        return [{ layout: chosen.layout, source: index + 1, wait, steps }];
      });
      run.answer(
        { command: 'keystrokes', file: definition.file, typed },
        typed.length === 0
          ? `${definition.file} types nothing: no installer of it is started through a boot menu`
          : typed.map(textOf).join('\n\n'),
      );
    });
};

function textOf({ layout, source = 1, wait = 0, steps }: Typed): string {
  return [
    `source ${source}, keyboard layout ${layout}:`,
    `wait    ${describeTime(wait)} from power-on`,
    ...describeSteps(steps),
  ].join('\n');
}

/** Each line of standard input is a text of its own. */
async function lines(stdin: Readable | undefined, signal: AbortSignal): Promise<readonly string[]> {
  if (stdin === undefined || (stdin as { isTTY?: boolean }).isTTY === true)
    throw new DefinitionError('keystrokes-missing', 'standard input is a terminal', { hint: 'give the text itself' });
  const parts: string[] = [];
  let length = 0;
  for await (const part of stdin.setEncoding('utf8')) {
    signal.throwIfAborted();
    parts.push(String(part));
    length += String(part).length;
    if (length > MOST_INPUT) break;
  }
  return parts
    .join('')
    .replace(/\r?\n$/, '')
    .split(/\r?\n/);
}
