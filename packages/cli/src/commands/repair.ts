import { stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import {
  commitOutputs,
  copyPatched,
  createOutput,
  DefinitionError,
  type ImageFile,
  openImageFile,
  type Patch,
  patchInPlace,
  PatchTally,
  type RepairSummary,
  stage,
  undoRepair,
} from '@polyvisor/core';
import { examine } from '../check/examine.js';
import { findingsText, levelsText } from '../check/report.js';
import { FindingTally } from '../check/tally.js';
import { type RecognisedFile, recogniseFile } from '../image-file.js';
import { locate } from '../image-input.js';
import type { Configure } from '../program.js';
import type { Session } from '../session.js';

interface Options {
  readonly output?: string | undefined;
  readonly inPlace?: true | undefined;
  readonly dryRun?: true | undefined;
  readonly force?: true | undefined;
}

export const configure: Configure = (command, session) => {
  command
    .argument('<image>', 'disk image, of any format that a plugin reads')
    .option(
      '-o, --output <path>',
      'name of the repaired image, or a folder for it; default: <name>-repaired beside the image',
    )
    .option('--in-place', 'change the image itself; what is replaced is kept in <image>.undo until all is done')
    .option('--undo', 'give an image back what a repair in place replaced before it was killed')
    .option('--dry-run', 'only tell what would be mended')
    .option('--from <format>', 'format of the image, instead of recognising it')
    .option('--work-dir <folder>', 'where a compressed image is expanded; default $TMPDIR or /var/tmp')
    .option('--force', 'replace a file that exists')
    .addHelpText(
      'after',
      `
Mends only what the rest of the image leaves no doubt about, and checks the result. The image itself stays as it is, unless
--in-place. Exit code 1: something is still broken. docs/checking.md explains more.

Examples:
  $ polyvisor repair disk.vhd --dry-run
  $ polyvisor repair disk.vhd                     # disk-repaired.vhd, beside it
  $ polyvisor repair disk.qcow2 --in-place
  $ polyvisor repair disk.qcow2 --undo            # after a power cut in the middle of that`,
    )
    .action(async (path, options) => {
      const run = session();
      if ([options.inPlace, options.output, options.dryRun, options.undo].filter(Boolean).length > 1) {
        throw new DefinitionError(
          'repair-options',
          'only one of --output, --in-place, --dry-run and --undo makes sense',
        );
      }
      if (options.undo === true) {
        await undoRepair(locate(run, path));
        return run.answer({ command: 'repair', path, undone: true }, `${path} is as it was before the repair`);
      }
      await using image = await recogniseFile(run, path, {
        ...options,
        from: options.from === undefined ? undefined : [options.from],
      });
      await repair(run, image, options);
    });
};

async function repair(run: Session, image: RecognisedFile, options: Options): Promise<void> {
  const { path, location, file, converter } = image;
  if (converter.repair === undefined) {
    throw new DefinitionError('repair-unsupported', `nothing in ${converter.id} images can be repaired`, {
      hint: `\`polyvisor check ${path}\` tells what is wrong with it`,
    });
  }
  if (options.inPlace === true && !image.standalone) {
    throw new DefinitionError('repair-options', `${path} is compressed or a pipe, so it cannot be repaired in place`, {
      hint: 'have a new file written with -o',
    });
  }
  const patches = converter.repair(file, run.signal, { now: Math.floor(Date.now() / 1000) });
  const target = options.inPlace === true ? location : await targetOf(run, image, options.output);
  const mode = options.dryRun === true ? 'would be mended' : 'mended';
  const { summary, remaining } =
    options.dryRun === true
      ? { summary: await count(patches, file), remaining: undefined }
      : options.inPlace === true
        ? await repairInPlace(run, image, patches)
        : await repairCopy(run, image, patches, target, options.force === true);
  const written = summary.patches > 0 && options.dryRun !== true ? target : undefined;
  const broken = (remaining?.levels.error ?? 0) > 0;
  run.answeredNo = broken;
  const found = remaining === undefined ? '' : findingsText(remaining, undefined);
  const text = [
    ...summary.mended.map(({ reason, patches }) => `${mode}: ${reason}${patches === 1 ? '' : ` (${patches} places)`}`),
    ...(summary.patches === 0 ? [`${path}: ${converter.id}, nothing that could be mended without guessing`] : []),
    ...(found === '' ? [] : ['', broken ? 'still broken:' : 'still there:', found, '']),
    ...(written === undefined ? [] : [`${written}: ${levelsText((remaining ?? new FindingTally()).levels)}`]),
    ...image.notes.map((note) => `note: ${note}`),
  ];
  run.answer(
    {
      command: 'repair',
      path,
      format: converter.id,
      mended: summary.mended,
      ...(written === undefined ? {} : { written }),
      ...(remaining === undefined ? {} : { sound: !broken, remaining: remaining.findings }),
      notes: image.notes,
    },
    text.join('\n'),
  );
}

interface Repaired {
  readonly summary: RepairSummary;
  /** What a check of the result finds. */
  readonly remaining: FindingTally;
}

async function repairInPlace(run: Session, image: RecognisedFile, patches: AsyncIterable<Patch>): Promise<Repaired> {
  const { path, location, file } = image;
  const summary = await stage(run.emit, 'repair', `repairing ${path}`, () =>
    patchInPlace(location, file, patches, run.signal),
  );
  await using result = await openImageFile(location);
  return { summary, remaining: await checkResult(run, image, result) };
}

/** The copy gets its name when it has been checked, and also when something in it is still broken: it is better than before. */
async function repairCopy(
  run: Session,
  image: RecognisedFile,
  patches: AsyncIterable<Patch>,
  target: string,
  force: boolean,
): Promise<Repaired> {
  const { path, file } = image;
  const output = await createOutput(target, force);
  try {
    const onProgress = (done: number, total: number) =>
      run.emit({ type: 'progress', stage: 'repair', done, total, unit: 'bytes' });
    const summary = await stage(run.emit, 'repair', `repairing ${path}`, () =>
      copyPatched(file, patches, output.sink, { signal: run.signal, onProgress }),
    );
    if (summary.patches === 0) {
      await output.discard();
      return { summary, remaining: await checkResult(run, image, file) };
    }
    await using result = await openImageFile(output.partPath);
    const remaining = await checkResult(run, image, { ...result, path: output.path });
    run.signal.throwIfAborted();
    await commitOutputs([output], force);
    return { summary, remaining };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

async function checkResult(run: Session, image: RecognisedFile, file: ImageFile): Promise<FindingTally> {
  const tally = new FindingTally();
  await examine(run, { path: file.path, file, converter: image.converter }, tally, undefined);
  return tally;
}

async function count(patches: AsyncIterable<Patch>, file: ImageFile): Promise<RepairSummary> {
  const tally = new PatchTally(file.size);
  for await (const patch of patches) tally.add(patch);
  return tally.summary();
}

/** Beside the image, because what belongs to it may lie there too. */
async function targetOf(
  run: Session,
  { location, standalone, converter }: RecognisedFile,
  output: string | undefined,
): Promise<string> {
  // What was expanded is written as it is then.
  const extension = standalone ? extname(location) : converter.extension;
  const stem = basename(location, extname(location));
  const name = `${standalone ? stem : basename(stem, extension)}-repaired${extension}`;
  if (output === undefined) return join(dirname(location), name);
  const wanted = locate(run, output);
  const isFolder = output.endsWith('/') || (await stat(wanted).catch(() => undefined))?.isDirectory() === true;
  return isFolder ? join(wanted, name) : wanted;
}
