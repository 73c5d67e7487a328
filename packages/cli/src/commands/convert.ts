import { basename, extname } from 'node:path';
import { Option } from '@commander-js/extra-typings';
import {
  type Artifact,
  convert,
  createIdentity,
  DefinitionError,
  type DiskSource,
  formatBytes,
  resizedDisk,
  seedOf,
  type Target,
} from '@polyvisor/core';
import { artifactTable } from '../artifact-table.js';
import { destinationOf, STDOUT } from '../destination.js';
import { factsOf } from '../disk-facts.js';
import { type FormatArgument, parseFormatArgument } from '../format-argument.js';
import { type Image, openImages } from '../image.js';
import { addImageOptions } from '../image-options.js';
import { outputPaths, stemOf } from '../output-names.js';
import { sizeChange, type SizeChange } from '../parse-option.js';
import { readPartitions } from '../partitions.js';
import type { Configure } from '../program.js';
import { sourceDate } from '../source-date.js';

export const configure: Configure = (command, session) => {
  addImageOptions(
    command.argument(
      '<image...>',
      'disk image, of any format that a plugin reads; several are the disks of one machine',
    ),
  )
    .requiredOption(
      '--to <format>',
      'format to write, with options as format:option=value,… (repeatable)',
      collectFormats,
    )
    .option(
      '-o, --output <path>',
      'directory for the outputs, made if missing; for a single output also its name, a block device, or - for stdout',
    )
    .option(
      '--size <bytes>',
      'size of the disk, or +bytes to add: longer by zeros, shorter where nothing is lost',
      sizeChange,
    )
    .addOption(
      new Option('--sparse <when>', 'holes in the outputs: where the format has them, or none at all')
        .choices(['auto', 'never'] as const)
        .default('auto' as const),
    )
    .option('--force', 'replace files that exist, overwrite a device')
    .option('--verify', 'read every output back and compare it before it gets its name')
    .option('--seed <text>', 'derive identifiers in the outputs from this instead of from the content of the disk')
    .addHelpText(
      'after',
      `
The image is read once, whatever the number of outputs; they appear all together, or not at all. In a directory they are
called <name>-<format><extension>. Options are typed as in YAML: true, false, numbers, text; quotes or \\ keep , and = as
they are; \`polyvisor plugins --options <format>\` lists them. Times stored in an output are 0 or $SOURCE_DATE_EPOCH.
The image may be -, standard input, and compressed with gzip, xz, bzip2 or zstd.

Examples:
  $ polyvisor convert disk.raw --to qcow2                       # disk-qcow2.qcow2, in this directory
  $ polyvisor convert disk.raw --to qcow2,xen-vhd,ova -o out    # three files in out/
  $ polyvisor convert disk.vmdk --to qcow2:compression=zlib -o small.qcow2
  $ polyvisor convert disk.raw --to ova:memory=2G,cpus=2 --verify
  $ polyvisor convert system.raw data.qcow2 --to ova -o machine.ova
  $ polyvisor convert child.vhdx --parent base.vhdx --to raw -o flat.img
  $ xzcat disk.raw.xz | polyvisor convert - --to raw -o - --size 20G | ssh host 'cat > disk.img'`,
    )
    .action(async (paths, options) => {
      const run = session();
      const { io, signal, emit } = run;
      if (options.output === STDOUT) run.yieldStdout();
      const host = await run.host();
      const time = sourceDate(io.env);
      const stem = stemOf(paths[0] ?? '');
      // Everything that can be wrong on the command line is found before the image is touched.
      const wanted = options.to.map(({ format, options }) => ({ converter: host.converter(format), options }));
      const converters = wanted.map(({ converter }) => converter);
      const { destination, paths: outputs } = await destinationOf(run, options.output, (directory) =>
        outputPaths(stem, converters, directory, io.cwd),
      );
      const targets: Target[] = wanted.map((one, index) => ({
        ...one,
        path: outputs[index] ?? outputs[0] ?? '',
        destination,
      }));

      await using images = await openImages(run, paths, options);
      const [image, ...further] = images.images as [Image, ...Image[]];
      const notes: string[] = [];
      const source = await resized(image.disk, options.size, further.length, notes, signal);
      const artifacts = await convert({
        source,
        furtherSources: further.map(({ disk }) => disk),
        targets,
        formats: host.converters(),
        identity: createIdentity(options.seed ?? (await seedOf(source)), time ?? 0),
        appliance: await factsOf(stem, source),
        force: options.force === true,
        sparse: options.sparse,
        verify: options.verify === true,
        emit,
        signal,
      });
      notes.push(...notesOn(artifacts, source.size));
      if (destination.kind === 'file') notes.push(...notesOnNames(targets, host.converters()));
      const sources = images.images.map(({ path, converter, disk }) => ({
        path,
        format: converter.id,
        size: disk.size,
      }));
      run.answer(
        { command: 'convert', source: sources[0], ...(further.length > 0 ? { sources } : {}), artifacts, notes },
        [artifactTable(artifacts, io.cwd, io.stdout.columns), ...notes.map((note) => `note: ${note}`)].join('\n'),
      );
    });
};

function collectFormats(value: string, previous: readonly FormatArgument[] = []): readonly FormatArgument[] {
  return [...previous, ...parseFormatArgument(value)];
}

async function resized(
  disk: DiskSource,
  change: SizeChange | undefined,
  further: number,
  notes: string[],
  signal: AbortSignal,
): Promise<DiskSource> {
  if (change === undefined) return disk;
  if (further > 0) {
    throw new DefinitionError('size-ambiguous', '--size is for one disk, several are given', {
      hint: 'resize the disk in a conversion of its own',
    });
  }
  const size = change.relative ? disk.size + change.bytes : change.bytes;
  if (size > disk.size && (await readPartitions(disk)).kind === 'gpt') {
    notes.push(
      'the second copy of the partition table (GPT) is no longer at the end of the disk: `sgdisk -e` moves it there',
    );
  }
  return resizedDisk(disk, size, signal);
}

function notesOn(artifacts: readonly Artifact[], wanted: number): string[] {
  return artifacts
    .filter(({ size }) => size !== wanted)
    .map(
      ({ format, size }) =>
        `${format} cannot hold a disk of exactly ${wanted} bytes: it has ${size} (${formatBytes(size - wanted)} of zeros more)`,
    );
}

/** Files that are called like files of another format. */
function notesOnNames(targets: readonly Target[], all: readonly Target['converter'][]): string[] {
  return targets.flatMap(({ path, converter: { id, extension } }) => {
    const end = extname(path).toLowerCase();
    const other = end === extension ? undefined : all.find((one) => one.extension === end);
    return other === undefined ? [] : [`${basename(path)} is ${id}, although ${end} is the name of ${other.id}`];
  });
}
