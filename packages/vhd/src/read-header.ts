import { FormatError, type ImageFile, isZero, roundUp } from '@polyvisor/core';
import {
  BATMAP,
  BATMAP_COOKIE,
  FOOTER,
  HEADER,
  HEADER_COOKIE,
  NOT_ALLOCATED,
  SECTOR,
  bitmapSectors,
} from './layout.js';
import { compareWithCopy } from './footer-copy.js';
import { parentName } from './parent-locators.js';
import { printable, readAt } from './read-at.js';
import { type Footer, expectChecksum } from './read-footer.js';
import { uuidText } from './uuid.js';

/**
 * Smallest and largest block that is read, in bytes. Known writers make 512 KiB to 2 MiB, and blktap refuses larger ones;
 * nothing is allocated by this size but a block's bitmap, 64 KiB for the largest.
 */
export const MIN_BLOCK_SIZE = 4096;
export const MAX_BLOCK_SIZE = 256 * 1024 * 1024;

/** Most blocks of a disk: 2040 GiB in blocks of 512 KiB, the smallest in use. Bounds the memory of the table: 16 MiB. */
export const MAX_BLOCKS = 2 ** 22;

/** A part of the file, in bytes; `end` is behind it. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface DynamicHeader {
  /** As stored. */
  readonly bytes: Buffer;
  readonly tableOffset: number;
  /** As the header has it; may be more than the disk needs. */
  readonly maxTableEntries: number;
  readonly blockSize: number;
  /** Everything that is not a block: the footer's copy, the header, the tables. */
  readonly structures: readonly Range[];
  /** As stored. For messages only: it is never opened. */
  readonly parentName: string;
  /** A UUID, lower case; absent when it is null, as that of a raw parent is. */
  readonly parentId: string | undefined;
  /** When the parent was last written, in seconds since 2000. */
  readonly parentTimestamp: number;
  /** Version of blktap's block map; absent when there is none. */
  readonly batmapVersion: number | undefined;
  readonly warnings: readonly string[];
}

export interface BlockTable {
  /** For each block of the disk the sector of its bitmap, as 32-bit big-endian numbers. */
  readonly table: Buffer;
  /** Blocks that are stored. */
  readonly stored: number;
  readonly warnings: readonly string[];
}

/** Reads and checks what a dynamic or differencing disk has before its blocks, but for the table's entries. */
export async function readDynamicHeader(file: ImageFile, footer: Footer): Promise<DynamicHeader> {
  const warning = await compareWithCopy(file, footer);
  const start = footer.dataOffset;
  if (start < FOOTER.size || start % BigInt(SECTOR) !== 0n || start + BigInt(HEADER.size) > footer.offset) {
    throw new FormatError('vhd-header-offset', 'the dynamic header lies outside of the file or inside a footer', {
      file: file.path,
      offset: footer.offset + FOOTER.dataOffset,
      expected: `a multiple of ${SECTOR} from ${FOOTER.size} to ${footer.offset - HEADER.size}`,
      found: `${start}`,
    });
  }
  const offset = Number(start);
  const header = await readAt(file, offset, HEADER.size);
  const cookie = header.toString('latin1', 0, 8);
  if (cookie !== HEADER_COOKIE) {
    throw new FormatError('vhd-header-missing', 'there is no dynamic header where the footer says', {
      file: file.path,
      offset,
      expected: JSON.stringify(HEADER_COOKIE),
      found: printable(cookie),
    });
  }
  expectChecksum(file, 'dynamic header', header, HEADER.checksum, offset);

  const blockSize = header.readUInt32BE(HEADER.blockSize);
  if (blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE || (blockSize & (blockSize - 1)) !== 0) {
    throw new FormatError('vhd-block-size', 'the block size is impossible', {
      file: file.path,
      offset: offset + HEADER.blockSize,
      expected: `a power of two from ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`,
      found: `${blockSize}`,
    });
  }
  const maxTableEntries = header.readUInt32BE(HEADER.maxTableEntries);
  const blocks = Math.ceil(footer.size / blockSize);
  if (maxTableEntries < blocks || blocks > MAX_BLOCKS) {
    throw new FormatError('vhd-table-size', 'the number of blocks does not match the size of the disk', {
      file: file.path,
      offset: offset + HEADER.maxTableEntries,
      expected: `at least ${blocks} for ${footer.size} bytes in blocks of ${blockSize}, and at most ${MAX_BLOCKS} in use`,
      found: `${maxTableEntries}`,
    });
  }
  const table = header.readBigUInt64BE(HEADER.tableOffset);
  const tableLength = BigInt(maxTableEntries) * 4n;
  const overlapsHeader = table < start + BigInt(HEADER.size) && table + tableLength > start;
  if (table < FOOTER.size || table % BigInt(SECTOR) !== 0n || table + tableLength > footer.offset || overlapsHeader) {
    throw new FormatError('vhd-table-offset', 'the block allocation table lies outside of the file or over a header', {
      file: file.path,
      offset: offset + HEADER.tableOffset,
      expected: `a multiple of ${SECTOR}, with ${tableLength} bytes of table between the headers and ${footer.offset}`,
      found: `${table}`,
    });
  }
  const tableOffset = Number(table);
  const tableEnd = roundUp(tableOffset + maxTableEntries * 4, SECTOR);
  const batmap = await readBatmap(file, footer, tableEnd, maxTableEntries);
  const parentId = header.subarray(HEADER.parentUniqueId, HEADER.parentUniqueId + 16);
  return {
    bytes: header,
    tableOffset,
    maxTableEntries,
    blockSize,
    structures: [
      { start: 0, end: FOOTER.size },
      { start: offset, end: offset + HEADER.size },
      { start: tableOffset, end: tableEnd },
      ...(batmap?.ranges ?? []),
    ],
    parentName: parentName(header),
    parentId: isZero(parentId) ? undefined : uuidText(parentId),
    parentTimestamp: header.readUInt32BE(HEADER.parentTimestamp),
    batmapVersion: batmap?.version,
    warnings: warning === undefined ? [] : [warning],
  };
}

/**
 * Reads where every block is. No block may reach into the structures, past the footer, or into another block; the disk's
 * last one may be cut off behind the disk's end.
 */
export async function readBlockTable(file: ImageFile, footer: Footer, header: DynamicHeader): Promise<BlockTable> {
  const { blockSize, tableOffset, structures } = header;
  const table = await readAt(file, tableOffset, Math.ceil(footer.size / blockSize) * 4);
  const bitmapLength = bitmapSectors(blockSize) * SECTOR;
  const sectors = (bitmapLength + blockSize) / SECTOR;
  const used = new Uint32Array(table.length / 4);
  const warnings: string[] = [];
  let count = 0;
  for (let at = 0; at < table.length; at += 4) {
    const sector = table.readUInt32BE(at);
    if (sector === NOT_ALLOCATED) continue;
    const start = sector * SECTOR;
    const needed = start + bitmapLength + Math.min(blockSize, footer.size - (at / 4) * blockSize);
    if (needed > footer.offset || structures.some((range) => start < range.end && needed > range.start)) {
      throw new FormatError('vhd-block-outside', `block ${at / 4} lies over the headers or outside of the file`, {
        file: file.path,
        offset: tableOffset + at,
        expected: `a sector of ${sectors} free ones before ${footer.offset / SECTOR}`,
        found: `${sector}`,
      });
    }
    if (start + sectors * SECTOR > footer.offset) {
      warnings.push('the last block of the disk is not stored to its end; all of the disk is there');
    }
    used[count++] = sector;
  }
  const sorted = used.subarray(0, count).sort();
  for (let index = 1; index < sorted.length; index++) {
    const previous = sorted[index - 1] ?? 0;
    const sector = sorted[index] ?? 0;
    if (sector - previous >= sectors) continue;
    throw new FormatError('vhd-blocks-overlap', 'two blocks of the disk share a part of the file', {
      file: file.path,
      offset: sector * SECTOR,
      expected: `at least ${sectors} sectors from one block to the next`,
      found: `blocks at the sectors ${previous} and ${sector}`,
    });
  }
  return { table, stored: count, warnings };
}

/** Checks blktap's block map, where there is one, and returns its place. The map itself only repeats the bitmaps. */
async function readBatmap(
  file: ImageFile,
  footer: Footer,
  offset: number,
  entries: number,
): Promise<{ version: number; ranges: Range[] } | undefined> {
  if (!footer.creatorApplication.startsWith('tap') || offset + BATMAP.size > footer.offset) return undefined;
  const batmap = await readAt(file, offset, BATMAP.size);
  if (batmap.toString('latin1', 0, 8) !== BATMAP_COOKIE) return undefined;
  if (batmap.readUInt8(BATMAP.encrypted) !== 0) {
    throw new FormatError('vhd-encrypted', 'the disk is encrypted by tapdisk', {
      file: file.path,
      offset: offset + BATMAP.encrypted,
      expected: '0',
      found: `${batmap.readUInt8(BATMAP.encrypted)}`,
      hint: 'export it from the host that holds its key',
    });
  }
  const mapOffset = batmap.readBigUInt64BE(BATMAP.mapOffset);
  const mapLength = batmap.readUInt32BE(BATMAP.mapSectors) * SECTOR;
  if (
    mapOffset < offset + BATMAP.size ||
    mapOffset % BigInt(SECTOR) !== 0n ||
    mapOffset + BigInt(mapLength) > footer.offset ||
    mapLength < entries / 8
  ) {
    throw new FormatError('vhd-batmap', 'the block map does not fit the file or the disk', {
      file: file.path,
      offset,
      expected: `at least ${Math.ceil(entries / 8)} bytes between ${offset + BATMAP.size} and ${footer.offset}`,
      found: `${mapLength} bytes at ${mapOffset}`,
    });
  }
  const start = Number(mapOffset);
  return {
    version: batmap.readUInt32BE(BATMAP.version),
    ranges: [
      { start: offset, end: offset + BATMAP.size },
      { start, end: start + mapLength },
    ],
  };
}
