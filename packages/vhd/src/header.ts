import { checksum } from './checksum.js';
import {
  BATMAP,
  BATMAP_COOKIE,
  BATMAP_VERSION,
  DEFAULT_BLOCK_SIZE,
  HEADER,
  HEADER_COOKIE,
  NO_OFFSET,
  SECTOR,
  VERSION_1_0,
} from './layout.js';

/** The header of a dynamic disk whose table of `entries` blocks starts at byte `tableOffset`. */
export function encodeDynamicHeader(tableOffset: number, entries: number, blockSize = DEFAULT_BLOCK_SIZE): Buffer {
  const header = Buffer.alloc(HEADER.size);
  header.write(HEADER_COOKIE, HEADER.cookie, 'latin1');
  header.writeBigUInt64BE(NO_OFFSET, HEADER.dataOffset);
  header.writeBigUInt64BE(BigInt(tableOffset), HEADER.tableOffset);
  header.writeUInt32BE(VERSION_1_0, HEADER.version);
  header.writeUInt32BE(entries, HEADER.maxTableEntries);
  header.writeUInt32BE(blockSize, HEADER.blockSize);
  header.writeUInt32BE(checksum(header, HEADER.checksum), HEADER.checksum);
  return header;
}

/**
 * A batmap for `entries` blocks with no bit set, its header included, to be placed at byte `offset`. Zero bits are
 * always right: they only make blktap look at the blocks' own bitmaps. They also avoid a trap: its checksum covers a
 * number of bytes that differs between versions of blktap, and is the same for all of them only over zeros.
 */
export function encodeEmptyBatmap(offset: number, entries: number): Buffer {
  const mapSectors = Math.ceil(Math.ceil(entries / 8) / SECTOR);
  const batmap = Buffer.alloc(BATMAP.size + mapSectors * SECTOR);
  batmap.write(BATMAP_COOKIE, BATMAP.cookie, 'latin1');
  batmap.writeBigUInt64BE(BigInt(offset + BATMAP.size), BATMAP.mapOffset);
  batmap.writeUInt32BE(mapSectors, BATMAP.mapSectors);
  batmap.writeUInt32BE(BATMAP_VERSION, BATMAP.version);
  batmap.writeUInt32BE(0xffff_ffff, BATMAP.checksum);
  return batmap;
}
