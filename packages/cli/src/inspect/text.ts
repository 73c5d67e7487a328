import { formatBytes, type OpenImage } from '@polyvisor/core';
import { allocationMap } from '../allocation-map.js';
import { table } from '../table.js';
import type { Contents, FoundPartition } from './contents.js';

/** All that `inspect` found out about an image. */
export interface Inspection {
  readonly path: string;
  readonly format: string;
  /** What the format is, in one line. */
  readonly summary: string;
  /** In bytes: of the file, and of what it takes up on its file system. */
  readonly fileSize: number;
  readonly stored: number;
  readonly opened: OpenImage;
  readonly parentPath?: string;
  /** Undefined when the disk cannot be read without its parent. */
  readonly contents: Contents | undefined;
  readonly warnings: readonly string[];
}

const TABLES = { gpt: 'GPT', mbr: 'MBR', none: 'no partition table' };

/** `columns` is the width of the terminal. */
export function inspectionText(found: Inspection, columns: number): string {
  const rows = [...imageRows(found), ...(found.contents === undefined ? [] : diskRows(found.contents))];
  const width = Math.max(...rows.map(([label]) => label.length));
  const lines = rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`);
  const { contents } = found;
  if (contents === undefined) {
    lines.push('', 'what is on the disk is not known: the rest of it is in the parent, which --parent names');
  } else {
    if (found.opened.disk.size > 0) lines.push('', allocationMap(contents.allocation, found.opened.disk, columns));
    if (contents.partitions.length > 0) lines.push('', partitionTable(contents.partitions));
  }
  return [...lines, ...found.warnings.map((warning) => `warning: ${warning}`)].join('\n');
}

function sizeText(bytes: number): string {
  return `${formatBytes(bytes)} (${bytes} bytes)`;
}

type Row = readonly [label: string, value: string];

function imageRows({
  path,
  format,
  summary,
  fileSize,
  stored,
  opened,
  contents,
  parentPath,
}: Inspection): readonly Row[] {
  const { disk, disks = [], facts, linkId, parent, snapshots = [] } = opened;
  return [
    ['image', path],
    ['format', `${format}: ${summary}`],
    ['disk', sizeText(disk.size)],
    ...(contents === undefined
      ? []
      : [['data on the disk', `at most ${sizeText(contents.allocation.allocated)}`] as const]),
    ['file', sizeText(fileSize)],
    ['stored', sizeText(stored)],
    ...Object.entries(facts).map(([label, value]) => [label, String(value)] as const),
    ...(linkId === undefined ? [] : [['identity for children', linkId] as const]),
    ...(parent === undefined ? [] : [['parent', parentText(parent, parentPath)] as const]),
    ...snapshots.map(
      ({ id, name, time }, index) =>
        [
          index === 0 ? 'snapshots' : '',
          `${JSON.stringify(name)} (${[id, timeText(time)].filter(Boolean).join(', ')})`,
        ] as const,
    ),
    // A single disk is the one that was described.
    ...(disks.length < 2 ? [] : disks).map(
      ({ name, size }, index) =>
        [index === 0 ? 'disks' : '', `${index + 1}: ${JSON.stringify(name)}, ${sizeText(size)}`] as const,
    ),
  ];
}

function parentText({ names, linkId }: NonNullable<OpenImage['parent']>, path: string | undefined): string {
  const named = names.length === 0 ? 'without a name' : names.map((name) => JSON.stringify(name)).join(' or ');
  const identity = linkId === undefined ? '' : `, with the identity ${linkId}`;
  return `${path === undefined ? 'not given' : path}; in the file it is ${named}${identity}`;
}

function timeText(time: number | undefined): string | undefined {
  const date = new Date((time ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace(/\.\d+/, '');
}

function diskRows({ table, fileSystem, boot }: Contents): readonly Row[] {
  const sectors = table.sectorSize === 512 ? '' : `, sectors of ${table.sectorSize} bytes`;
  return [
    ['partitions', `${TABLES[table.kind]}${table.identity === undefined ? '' : ` ${table.identity}`}${sectors}`],
    ...(fileSystem === undefined
      ? []
      : [['file system', [fileSystem.type, fileSystem.label, fileSystem.uuid].filter(Boolean).join(', ')] as const]),
    ...boot.map(({ firmware, reason }, index) => [index === 0 ? 'boots under' : '', `${firmware}: ${reason}`] as const),
  ];
}

function partitionTable(partitions: readonly FoundPartition[]): string {
  return table(
    [
      { title: '#', align: 'right' },
      { title: 'START', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'TYPE' },
      { title: 'NAME' },
      { title: 'FILE SYSTEM' },
      { title: 'LABEL' },
      { title: 'UUID' },
    ],
    partitions.map(({ number, start, size, type, name, boot, fileSystem }) => [
      String(number),
      String(start),
      formatBytes(size),
      `${type}${boot ? ' (boot)' : ''}`,
      name,
      fileSystem === undefined
        ? ''
        : `${fileSystem.type}${fileSystem.size === undefined ? '' : ` ${formatBytes(fileSystem.size)}`}`,
      fileSystem?.label ?? '',
      fileSystem?.uuid ?? '',
    ]),
  );
}
