import { dataSize, formatBytes, type ImageFacts } from '@polyvisor/core';
import { openImage, storedSize } from '../image.js';
import { type PartitionTable, readPartitions } from '../partitions.js';
import type { Configure } from '../program.js';
import { table } from '../table.js';

export const configure: Configure = (command, session) => {
  command
    .argument('<image>', 'disk image, of any format that a plugin reads')
    .option('--from <format>', 'format of the image, instead of recognising it')
    .addHelpText(
      'after',
      `
Examples:
  $ polyvisor inspect disk.qcow2
  $ polyvisor inspect disk.img --from raw --json | jq .virtualSize`,
    )
    .action(async (path, options) => {
      const run = session();
      await using image = await openImage(run, path, options.from);
      const { disk, file, converter, facts } = image;
      const found = {
        path,
        format: converter.id,
        virtualSize: disk.size,
        fileSize: file.size,
        stored: await storedSize(run, path),
        allocated: await dataSize(disk, run.signal),
        facts,
        partitionTable: await readPartitions(disk),
      };
      run.answer({ command: 'inspect', ...found }, describe(found, converter.summary));
    });
};

interface Found {
  readonly path: string;
  readonly format: string;
  readonly virtualSize: number;
  readonly fileSize: number;
  readonly stored: number;
  readonly allocated: number;
  readonly facts: ImageFacts;
  readonly partitionTable: PartitionTable;
}

function describe(found: Found, summary: string): string {
  const size = (bytes: number) => `${formatBytes(bytes)} (${bytes} bytes)`;
  const rows = [
    ['image', found.path],
    ['format', `${found.format}: ${summary}`],
    ['disk', size(found.virtualSize)],
    ['data on the disk', `at most ${size(found.allocated)}`],
    ['file', size(found.fileSize)],
    ['stored', size(found.stored)],
    ...Object.entries(found.facts).map(([label, value]) => [label, String(value)]),
    ['partitions', { gpt: 'GPT', mbr: 'MBR', none: 'no partition table' }[found.partitionTable.kind]],
  ];
  const width = Math.max(...rows.map(([label]) => label?.length ?? 0));
  const lines = rows.map(([label, value]) => `${label?.padEnd(width)}  ${value}`);
  const { partitions, problems } = found.partitionTable;
  if (partitions.length > 0) lines.push('', partitionTable(partitions));
  return [...lines, ...problems.map((problem) => `problem: ${problem}`)].join('\n');
}

function partitionTable(partitions: PartitionTable['partitions']): string {
  return table(
    [
      { title: '#', align: 'right' },
      { title: 'START', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'TYPE' },
      { title: 'NAME' },
    ],
    partitions.map(({ number, start, size, type, name, boot }) => [
      String(number),
      String(start),
      formatBytes(size),
      `${type}${boot ? ' (boot)' : ''}`,
      name,
    ]),
  );
}
