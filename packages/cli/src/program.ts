import { Command } from '@commander-js/extra-typings';
import type { GlobalOptions, Session } from './session.js';
import { packageVersion } from './version.js';

/** Adds a command's arguments, options and action. `session` may be called from the action only. */
export type Configure = (command: Command, session: () => Session) => void;

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ readonly configure: Configure }>;
}

/** Every command in the order of the help. A command's module is loaded when it is wanted, and only then. */
export const COMMANDS: readonly Entry[] = [
  {
    name: 'build',
    summary: 'build an appliance from its definition and export it in every format asked for',
    load: () => import('./commands/build.js'),
  },
  {
    name: 'boot',
    summary: 'start a finished image and wait for its login prompt',
    load: () => import('./commands/boot.js'),
  },
  {
    name: 'convert',
    summary: 'write a disk image in other formats, reading it once',
    load: () => import('./commands/convert.js'),
  },
  {
    name: 'inspect',
    summary: 'tell what an image is and what it holds',
    load: () => import('./commands/inspect.js'),
  },
  {
    name: 'verify',
    summary: 'check that an image can be read, or that two images hold the same disk',
    load: () => import('./commands/verify.js'),
  },
  {
    name: 'check',
    summary: 'check an image against the rules of its format and of who is to load it',
    load: () => import('./commands/check.js'),
  },
  {
    name: 'repair',
    summary: 'mend what can be mended in an image without guessing',
    load: () => import('./commands/repair.js'),
  },
  {
    name: 'plugins',
    summary: 'list what is loaded, from where, with capabilities and options',
    load: () => import('./commands/plugins.js'),
  },
  {
    name: 'doctor',
    summary: 'tell what this machine can do, what is missing and how to get it',
    load: () => import('./commands/doctor.js'),
  },
  {
    name: 'clean',
    summary: 'remove what runs that were killed have left, their machines included',
    load: () => import('./commands/clean.js'),
  },
  { name: 'define', summary: 'start a new definition', load: () => import('./commands/define.js') },
  {
    name: 'validate',
    summary: 'check a definition, and its targets against the loaded plugins',
    load: () => import('./commands/validate.js'),
  },
  {
    name: 'schema',
    summary: 'print the JSON Schema of definitions, or of the options of a format or provisioner',
    load: () => import('./commands/schema.js'),
  },
  {
    name: 'keystrokes',
    summary: 'show which keys a boot command types, without typing them',
    load: () => import('./commands/keystrokes.js'),
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands in bash, zsh or fish',
    load: () => import('./commands/completion.js'),
  },
];

/** Where help and commander's own errors are written. */
export interface ProgramOutput {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The command line, without the commands' own options until a command is chosen. */
export function createProgram(session: (options: GlobalOptions) => Session, output: ProgramOutput): Command {
  const program = new Command('polyvisor')
    .description('One definition in, a bootable appliance for every hypervisor out.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option(
      '--plugin <name>',
      'also load this plugin: a package name, or a path starting with . or / (repeatable)',
      collect,
    )
    .option('--no-plugin-discovery', "do not look for plugins among the project's packages")
    .option('--json', 'write events and the answer as JSON, one object a line, to stdout')
    .option('-q, --quiet', 'show only warnings, errors and the answer')
    .option('-v, --verbose', 'also show what plugins and the programs they run say')
    .option('--no-color', 'no colours; the variable NO_COLOR does the same')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: output.out, writeErr: output.err })
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for what is possible)')
    .exitOverride();
  program.addHelpText(
    'after',
    `
Examples:
  $ polyvisor build debian-12                    # in every format that the definition asks for
  $ polyvisor convert disk.raw --to qcow2,xen-vhd,ova
  $ polyvisor doctor                             # what can this machine do?

Exit codes: 0 done, 1 the answer is no, 2 a mistake in the definition or the command line, 3 something is missing on
this machine, 4 the guest failed, 5 an image is broken, 70 a bug, 130 and 143 interrupted (docs/errors.md).`,
  );
  for (const { name, summary } of COMMANDS) program.addCommand(subcommand(program, name, summary));
  const openSession = () => session(program.opts());
  program.hook('preSubcommand', (_, chosen) => configureCommand(chosen.name(), chosen, openSession));
  return program as unknown as Command;
}

/** Adds what a command can take, for its help, for parsing, or for completion. */
export async function configureCommand(
  name: string,
  command: { readonly name: () => string },
  session: () => Session,
): Promise<void> {
  const entry = COMMANDS.find((one) => one.name === name);
  (await entry?.load())?.configure(command as Command, session);
}

function subcommand(program: { copyInheritedSettings?: unknown }, name: string, summary: string): Command {
  const command = new Command(name)
    .description(`${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}.`)
    .summary(summary);
  command.copyInheritedSettings(program as Command);
  return command;
}

/** For options that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}
