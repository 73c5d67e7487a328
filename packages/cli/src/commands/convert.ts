import { basename, extname } from 'node:path';
import {
  type ApplianceFacts,
  convert,
  createIdentity,
  type DiskSource,
  formatBytes,
  seedOf,
  type Target,
} from '@polyvisor/core';
import { artifactTable } from '../artifact-table.js';
import { type FormatArgument, parseFormatArgument } from '../format-argument.js';
import { openImage } from '../image.js';
import { outputPaths, stemOf } from '../output-names.js';
import { firmwareOf } from '../partitions.js';
import type { Configure } from '../program.js';
import { sourceDate } from '../source-date.js';

const GIBIBYTE = 2 ** 30;

export const configure: Configure = (command, session) => {
  command
    .argument('<image>', 'disk image, of any format that a plugin reads')
    .requiredOption(
      '--to <format>',
      'format to write, with options as format:option=value,… (repeatable)',
      collectFormats,
    )
    .option('-o, --output <path>', 'directory for the outputs, made if missing; for a single output also its name')
    .option('--from <format>', 'format of the image, instead of recognising it')
    .option('--force', 'replace files that exist')
    .option('--verify', 'read every output back and compare it before it gets its name')
    .option('--seed <text>', 'derive identifiers in the outputs from this instead of from the content of the disk')
    .addHelpText(
      'after',
      `
The image is read once, whatever the number of outputs; they appear all together, or not at all. In a directory they are
called <name>-<format><extension>. Options are typed as in YAML: true, false, numbers, text; quotes or \\ keep , and = as
they are; \`polyvisor plugins --options <format>\` lists them. Times stored in an output are 0 or $SOURCE_DATE_EPOCH.

Examples:
  $ polyvisor convert disk.raw --to qcow2                       # disk-qcow2.qcow2, in this directory
  $ polyvisor convert disk.raw --to qcow2,xen-vhd,ova -o out    # three files in out/
  $ polyvisor convert disk.vmdk --to qcow2:compression=zlib -o small.qcow2
  $ polyvisor convert disk.raw --to ova:memory=2G,cpus=2 --verify`,
    )
    .action(async (path, options) => {
      const run = session();
      const { io, signal, emit } = run;
      const host = await run.host();
      const time = sourceDate(io.env);
      // Everything that can be wrong on the command line is found before the image is touched.
      const wanted = options.to.map(({ format, options }) => ({ converter: host.converter(format), options }));
      const converters = wanted.map(({ converter }) => converter);
      const paths = await outputPaths(stemOf(path), converters, options.output, io.cwd);
      const targets: Target[] = wanted.map((one, index) => ({ ...one, path: paths[index] ?? '' }));

      await using image = await openImage(run, path, options.from);
      const artifacts = await convert({
        source: image.disk,
        targets,
        identity: createIdentity(options.seed ?? (await seedOf(image.disk)), time ?? 0),
        appliance: await factsOf(stemOf(path), image.disk),
        force: options.force === true,
        verify: options.verify === true,
        emit,
        signal,
      });
      const rounded = artifacts.filter(({ size }) => size !== image.disk.size);
      const notes = rounded.map(
        ({ format, size }) =>
          `${format} cannot hold a disk of exactly ${image.disk.size} bytes: it has ${size} (${formatBytes(size - image.disk.size)} of zeros more)`,
      );
      for (const [index, { extension, id }] of converters.entries()) {
        const end = extname(paths[index] ?? '').toLowerCase();
        const other = end === extension ? undefined : host.converters().find((one) => one.extension === end);
        if (other !== undefined)
          notes.push(`${basename(paths[index] ?? '')} is ${id}, although ${end} is the name of ${other.id}`);
      }
      run.answer(
        { command: 'convert', source: { path, format: image.converter.id, size: image.disk.size }, artifacts },
        [artifactTable(artifacts, io.cwd, io.stdout.columns), ...notes.map((note) => `note: ${note}`)].join('\n'),
      );
    });
};

function collectFormats(value: string, previous: readonly FormatArgument[] = []): readonly FormatArgument[] {
  return [...previous, ...parseFormatArgument(value)];
}

/** What can be known of a machine from its disk alone; formats with a descriptor have options for the rest. */
async function factsOf(name: string, disk: DiskSource): Promise<ApplianceFacts> {
  return {
    name,
    version: '',
    description: '',
    architecture: 'x86_64',
    firmware: await firmwareOf(disk),
    cpus: 2,
    memory: 2 * GIBIBYTE,
    guest: 'other',
    guestVersion: '',
  };
}
