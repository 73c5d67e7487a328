import type { DiskConverter } from '@polyvisor/core';
import { expectConsumer, formatsFor, loads } from '../check/consumers.js';
import { examine } from '../check/examine.js';
import { findingsText, levelsText, verdicts, verdictTable } from '../check/report.js';
import { FindingTally } from '../check/tally.js';
import { type RecognisedFile, recogniseFile } from '../image-file.js';
import { addImageOptions } from '../image-options.js';
import type { Configure } from '../program.js';
import type { Session } from '../session.js';

export const configure: Configure = (command, session) => {
  addImageOptions(command.argument('<image>', 'disk image, of any format that a plugin reads'))
    .option('--for <consumer>', 'who is to load it: only what this one refuses counts as an error')
    .addHelpText(
      'after',
      `
Every rule of the image's format is checked, and what the disk in it needs to start. Each finding has the rule, its place in
the file, what is there, what should be, and what to do. Exit code 1: there are errors. docs/checking.md explains more.

Examples:
  $ polyvisor check disk.vhd                        # and who would refuse it
  $ polyvisor check disk.vhd --for xenserver        # as vhd-util check would
  $ polyvisor check disk.qcow2 --json | jq '.findings?[]?.rule'`,
    )
    .action(async (path, options) => {
      const run = session();
      const converters = (await run.host()).converters();
      const consumer = options.for;
      if (consumer !== undefined) expectConsumer(consumer, converters);
      await using recognised = await recogniseFile(run, path, options);
      const image =
        consumer === undefined || options.from !== undefined
          ? recognised
          : { ...recognised, converter: await converterFor(consumer, recognised, converters) };
      const tally = new FindingTally(consumer);
      const notes = [...image.notes];
      if (consumer !== undefined && loads(consumer, image.converter) === false) {
        tally.add(notLoaded(consumer, image, converters));
      } else {
        if (consumer !== undefined && loads(consumer, image.converter) === undefined)
          notes.push(`no plugin knows what ${consumer} asks of ${image.converter.id} images`);
        notes.push(...(await examine(run, image, tally, consumer, options)));
      }
      answer(run, image, tally, notes, consumer, converters);
    });
};

/**
 * Several converters may read one format, each for other consumers. Of those that find the file possible and have the same
 * extension, the one that is for this consumer knows its rules.
 */
async function converterFor(
  consumer: string,
  { file, converter }: RecognisedFile,
  converters: readonly DiskConverter[],
): Promise<DiskConverter> {
  if (loads(consumer, converter) !== false) return converter;
  for (const other of converters) {
    if (other.extension !== converter.extension || loads(consumer, other) !== true) continue;
    if ((await other.detect(file)) !== 'no') return other;
  }
  return converter;
}

function notLoaded(consumer: string, { path, converter }: RecognisedFile, converters: readonly DiskConverter[]) {
  const formats = formatsFor(consumer, converters);
  return {
    rule: 'format-not-loaded',
    severity: 'error',
    message: `${consumer} does not load ${converter.id}`,
    refusedBy: [consumer],
    expected: formats.join(' or '),
    found: converter.id,
    hint: `convert it: polyvisor convert ${path} --to ${formats[0] ?? ''}`,
  } as const;
}

function answer(
  run: Session,
  { path, converter }: RecognisedFile,
  tally: FindingTally,
  notes: readonly string[],
  consumer: string | undefined,
  converters: readonly DiskConverter[],
): void {
  const everybody = consumer === undefined ? verdicts(tally, converter, converters) : [];
  const sound = tally.levels.error === 0;
  run.answeredNo = !sound;
  const found = findingsText(tally, consumer);
  const verdict =
    consumer === undefined ? '' : `; ${consumer} ${tally.refusals(consumer).length === 0 ? 'takes it' : 'refuses it'}`;
  const text = [
    ...(found === '' ? [] : [found, '']),
    `${path}: ${converter.id}, ${levelsText(tally.levels)}${verdict}`,
    ...(tally.levels.error + tally.levels.warning > 0 && converter.repair !== undefined
      ? [`\`polyvisor repair ${path} --dry-run\` tells what of it can be mended`]
      : []),
    ...(everybody.length === 0 ? [] : ['', verdictTable(everybody, converter.id)]),
    ...notes.map((note) => `note: ${note}`),
  ];
  run.answer(
    {
      command: 'check',
      path,
      format: converter.id,
      ...(consumer === undefined ? { consumers: everybody } : { for: consumer }),
      sound,
      levels: tally.levels,
      findings: tally.findings,
      notes,
    },
    text.join('\n'),
  );
}
