/**
 * The constants of the VHD format ("Virtual Hard Disk Image Format Specification", Microsoft, 2006), and of the block
 * map that blktap added for Xen. All integers are big-endian; offsets of fields are bytes from the structure's start.
 */

export const SECTOR = 512;

/** Last 512 bytes of every VHD; a dynamic disk has the same bytes at offset 0 as well. */
export const FOOTER = {
  size: 512,
  cookie: 0,
  features: 8,
  version: 12,
  dataOffset: 16,
  timestamp: 24,
  creatorApplication: 28,
  creatorVersion: 32,
  creatorHostOs: 36,
  originalSize: 40,
  currentSize: 48,
  cylinders: 56,
  heads: 58,
  sectorsPerTrack: 59,
  diskType: 60,
  checksum: 64,
  uniqueId: 68,
} as const;

/** Footers of Virtual PC before 2004 lack the last, always zero, byte. */
export const SHORT_FOOTER_SIZE = 511;

export const FOOTER_COOKIE = 'conectix';
/** Bit 1 of the features must always be set. */
export const FEATURES_RESERVED = 2;
export const VERSION_1_0 = 0x0001_0000;
/** "No offset": the data offset of a fixed disk's footer and of every dynamic header. */
export const NO_OFFSET = 0xffff_ffff_ffff_ffffn;

export const DISK_TYPE = { fixed: 2, dynamic: 3, differencing: 4 } as const;

export const HEADER = {
  size: 1024,
  cookie: 0,
  dataOffset: 8,
  tableOffset: 16,
  version: 24,
  maxTableEntries: 28,
  blockSize: 32,
  checksum: 36,
  parentName: 64,
  parentNameSize: 512,
} as const;

export const HEADER_COOKIE = 'cxsparse';

/** Entry of the block allocation table (BAT) of a block that is not stored. */
export const NOT_ALLOCATED = 0xffff_ffff;

/** Block size that every consumer accepts, in bytes. Its sector bitmap takes exactly one sector. */
export const DEFAULT_BLOCK_SIZE = 2 * 1024 * 1024;

/** blktap's block map: one bit a block, set when no sector of the block is absent. Follows the padded BAT. */
export const BATMAP = {
  size: 512,
  cookie: 0,
  mapOffset: 8,
  mapSectors: 16,
  version: 20,
  checksum: 24,
  encrypted: 29,
} as const;

export const BATMAP_COOKIE = 'tdbatmap';
/** Version 1.2: the checksum sums unsigned bytes (1.1 summed signed ones). */
export const BATMAP_VERSION = 0x0001_0002;

/** 2040 GiB: what the BAT's 32-bit sector numbers reach once the format's own structures are taken off. In bytes. */
export const MAX_SIZE = 2040 * 2 ** 30;

/** Sectors of a block's bitmap: a bit for each sector of the block, most significant first. */
export function bitmapSectors(blockSize: number): number {
  return Math.ceil(blockSize / SECTOR / 8 / SECTOR);
}
