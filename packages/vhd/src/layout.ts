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
  savedState: 84,
  /** blktap's own: the disk is only the parent of others. The specification has reserved bytes from here on. */
  hidden: 85,
  reserved: 86,
} as const;

/** Footers of Virtual PC before 2004 lack the last, always zero, byte. */
export const SHORT_FOOTER_SIZE = 511;

export const FOOTER_COOKIE = 'conectix';
/** blktap puts this in the place of the cookie of a disk that must not be used; everything else stays as it was. */
export const POISON_COOKIE = 'v_poison';
/** Bit 1 of the features must always be set; bit 0 marks a disk that may be deleted at shutdown. */
export const FEATURES_RESERVED = 2;
export const FEATURES_TEMPORARY = 1;
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
  parentUniqueId: 40,
  parentTimestamp: 56,
  reserved: 60,
  parentName: 64,
  parentNameSize: 512,
  locators: 576,
  moreReserved: 768,
} as const;

/** Where a differencing disk says that its parent is: eight entries in the dynamic header. */
export const LOCATOR = {
  count: 8,
  size: 24,
  code: 0,
  /** Room for the text: sectors by the specification, bytes by Microsoft and most others. */
  space: 4,
  /** Of the text, in bytes. */
  length: 8,
  reserved: 12,
  offset: 16,
} as const;

/** Kinds of parent locators. VirtualBox writes two of the codes with digits transposed. */
export const PLATFORM = {
  none: 0,
  /** Relative and absolute Windows paths in UTF-16, little-endian. */
  W2ru: 0x5732_7275,
  W2ku: 0x5732_6b75,
  /** Their predecessors, in an 8-bit code page; deprecated. */
  Wi2r: 0x5769_3272,
  Wi2k: 0x5769_326b,
  /** An alias record of Mac OS: no text. */
  Mac: 0x4d61_6320,
  /** A `file://` URL in UTF-8. */
  MacX: 0x4d61_6358,
  MacOfVirtualBox: 0x4d16_3220,
  MacXOfVirtualBox: 0x4d16_3258,
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
export const BATMAP_VERSION_1_1 = 0x0001_0001;

/** 2040 GiB: what the BAT's 32-bit sector numbers reach once the format's own structures are taken off. In bytes. */
export const MAX_SIZE = 2040 * 2 ** 30;

/** Sectors of a block's bitmap: a bit for each sector of the block, most significant first. */
export function bitmapSectors(blockSize: number): number {
  return Math.ceil(blockSize / SECTOR / 8 / SECTOR);
}
