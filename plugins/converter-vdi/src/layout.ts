/**
 * VirtualBox disk images as VirtualBox's own VDICore.h lays them out: a header, the map with one 32-bit entry for each
 * block of the disk, the blocks. All integers are little-endian; offsets are bytes from the start of the file. This is all
 * that the writer and the reader share, so that neither repeats a mistake of the other.
 */

/** A line for people in the first 64 bytes; no program reads it. */
export const TEXT = '<<< Oracle VM VirtualBox Disk Image >>>\n';
export const SIGNATURE = 0xbeda_107f;

/** Version 1.1: every VirtualBox since 2007, and QEMU. */
export const VERSION_1_1 = 0x0001_0001;
/** Version 0.2, of the first releases: other places of the fields, no gap between header, map and data. */
export const VERSION_0_2 = 0x0000_0002;

/** The part that all versions have in common. */
export const PRELUDE = { signature: 64, version: 68, size: 72 } as const;

export interface FieldPlaces {
  readonly type: number;
  readonly flags: number;
  readonly comment: number;
  /** Sector size of the geometry that nobody uses any more. */
  readonly legacySectorSize: number;
  readonly diskSize: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly allocated: number;
  readonly imageId: number;
  readonly modificationId: number;
  readonly linkId: number;
  /** Where the header ends at the earliest. */
  readonly end: number;
}

export const HEADER_1 = {
  headerSize: 72,
  type: 76,
  flags: 80,
  comment: 84,
  mapOffset: 340,
  dataOffset: 344,
  legacySectorSize: 360,
  diskSize: 368,
  blockSize: 376,
  blockExtra: 380,
  blocks: 384,
  allocated: 388,
  imageId: 392,
  modificationId: 408,
  linkId: 424,
  parentModificationId: 440,
  /** Only there when the header size says so: the geometry that a BIOS shows, of which only this field is checked. */
  logicalSectorSize: 468,
  end: 456,
} as const;

export const HEADER_0 = {
  type: 72,
  flags: 76,
  comment: 80,
  legacySectorSize: 348,
  diskSize: 352,
  blockSize: 360,
  blocks: 364,
  allocated: 368,
  imageId: 372,
  modificationId: 388,
  linkId: 404,
  end: 420,
} as const;

export const COMMENT_SIZE = 256;

/** Header size, counted from byte 72: without and with the geometry at the end. */
export const HEADER_SIZE = { plain: 0x180, withGeometry: 0x190 } as const;

export const IMAGE_TYPE = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 } as const;

/** The only flag: new blocks are cleared while the file grows. Without a meaning for readers. */
export const FLAG_ZERO_EXPAND = 1;

/** Entries of the map: the block was never written (what a parent has shows through), the block is zero. */
export const BLOCK_FREE = 0xffff_ffff;
export const BLOCK_ZERO = 0xffff_fffe;

/** What VirtualBox writes, and the only size that QEMU reads. In bytes. */
export const DEFAULT_BLOCK_SIZE = 1024 * 1024;

/** VirtualBox takes any power of two; beyond these, a block of that size is no use to anybody. In bytes. */
export const MIN_BLOCK_SIZE = 512;
export const MAX_BLOCK_SIZE = 256 * 1024 * 1024;

/** Where VirtualBox places the map and the data: so that writes of a guest touch whole pages of an SSD. In bytes. */
export const ALIGNMENT = 1024 * 1024;

export const ENTRY_SIZE = 4;

/** Blocks that QEMU takes, so that the map does not exceed 2 GiB. VirtualBox's 32-bit offsets reach further. */
export const MAX_BLOCKS = 0x1fff_ff80;
