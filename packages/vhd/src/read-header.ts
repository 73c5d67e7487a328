import { FormatError, type ImageFile, roundUp } from '@polyvisor/core';
import { BATMAP, BATMAP_COOKIE, FOOTER, HEADER, HEADER_COOKIE, NOT_ALLOCATED, SECTOR } from './layout.js';
import { bitmapSectors } from './layout.js';
import { type Footer, expectChecksum, printable, readAt } from './read-footer.js';

/** Smallest and largest block that is read, in bytes. Every known writer is in between; blktap refuses larger ones. */
const MIN_BLOCK_SIZE = 4096;
const MAX_BLOCK_SIZE = 2 * 1024 * 1024;

/** Most blocks of a disk: 2040 GiB in blocks of 512 KiB, the smallest in use. Bounds the memory of the table: 16 MiB. */
const MAX_BLOCKS = 2 ** 22;

export interface DynamicHeader {
  readonly tableOffset: number;
  /** As the header has it; may be more than the disk needs. */
  readonly maxTableEntries: number;
  readonly blockSize: number;
  /** End of the last structure before the blocks, in bytes. */
  readonly metadataEnd: number;
  /** As stored. For messages only: it is never opened. */
  readonly parentName: string;
}

/** Reads and checks what a dynamic or differencing disk has before its blocks, but for the table's entries. */
export async function readDynamicHeader(file: ImageFile, footer: Footer): Promise<DynamicHeader> {
  const copy = await readAt(file, 0, footer.bytes.length);
  if (!copy.equals(footer.bytes)) {
    const at = copy.findIndex((byte, index) => byte !== footer.bytes[index]);
    throw new FormatError('vhd-footers-differ', 'the footer and its copy at the start of the file differ', {
      file: file.path,
      offset: at,
      expected: `${footer.bytes[at]}, as at offset ${footer.offset + at}`,
      found: `${copy[at]}`,
      hint: 'different tools would see different disks; repair the file with the tool that made it',
    });
  }
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
  const batmapEnd = await readBatmap(file, footer, tableEnd, maxTableEntries);
  return {
    tableOffset,
    maxTableEntries,
    blockSize,
    metadataEnd: Math.max(offset + HEADER.size, tableEnd, batmapEnd),
    parentName: decodeParentName(header),
  };
}

/**
 * Reads where every block is: for each block of the disk the sector of its bitmap, as 32-bit big-endian numbers. No block
 * may reach into the structures, past the footer, or into another block.
 */
export async function readBlockTable(file: ImageFile, footer: Footer, header: DynamicHeader): Promise<Buffer> {
  const { blockSize, tableOffset, metadataEnd } = header;
  const table = await readAt(file, tableOffset, Math.ceil(footer.size / blockSize) * 4);
  const sectors = bitmapSectors(blockSize) + blockSize / SECTOR;
  const first = metadataEnd / SECTOR;
  const last = Math.floor(footer.offset / SECTOR) - sectors;
  const used = new Uint32Array(table.length / 4);
  let count = 0;
  for (let at = 0; at < table.length; at += 4) {
    const sector = table.readUInt32BE(at);
    if (sector === NOT_ALLOCATED) continue;
    if (sector < first || sector > last) {
      throw new FormatError('vhd-block-outside', `block ${at / 4} lies over the headers or outside of the file`, {
        file: file.path,
        offset: tableOffset + at,
        expected: `a sector from ${first} to ${last}`,
        found: `${sector}`,
      });
    }
    used[count++] = sector;
  }
  const sorted = used.subarray(0, count).sort();
  for (let index = 1; index < sorted.length; index++) {
    const [previous = 0, sector = 0] = sorted.subarray(index - 1, index + 1);
    if (sector - previous >= sectors) continue;
    throw new FormatError('vhd-blocks-overlap', 'two blocks of the disk share a part of the file', {
      file: file.path,
      offset: sector * SECTOR,
      expected: `at least ${sectors} sectors from one block to the next`,
      found: `blocks at the sectors ${previous} and ${sector}`,
    });
  }
  return table;
}

/** Checks blktap's block map, where there is one, and returns its end in bytes. The map itself only repeats the bitmaps. */
async function readBatmap(file: ImageFile, footer: Footer, offset: number, entries: number): Promise<number> {
  if (!footer.creatorApplication.startsWith('tap') || offset + BATMAP.size > footer.offset) return 0;
  const batmap = await readAt(file, offset, BATMAP.size);
  if (batmap.toString('latin1', 0, 8) !== BATMAP_COOKIE) return 0;
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
  return Number(mapOffset) + mapLength;
}

function decodeParentName(header: Buffer): string {
  const name = Buffer.from(header.subarray(HEADER.parentName, HEADER.parentName + HEADER.parentNameSize)).swap16();
  return name.toString('utf16le').replace(/\0.*$/s, '');
}
