/**
 * VHDX as [MS-VHDX] describes it: all fields little-endian, GUIDs in Microsoft's mixed order, everything outside of the first
 * MiB aligned to whole MiB. Two headers name the log, two region tables name the BAT and the metadata. This is all that the
 * writer and the reader share, so that neither repeats a mistake of the other.
 */

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** 64 TiB, the format's own limit ([MS-VHDX] 2.6.2.2). */
export const MAX_DISK_SIZE = 64 * 2 ** 40;

/**
 * Largest file that is read, in bytes: twice what a full disk of the largest size needs. It bounds the map of the file's
 * used parts, and no sound image comes near it.
 */
export const MAX_FILE_SIZE = 2 * MAX_DISK_SIZE;

/** First bytes of a file, followed by the maker's name in UTF-16LE. */
export const IDENTIFIER = { magic: 'vhdxfile', creator: 8, creatorSize: 512 } as const;

/** What lies in the first MiB, in bytes from the start. */
export const PLACE = { headers: [64 * KIB, 128 * KIB], regionTables: [192 * KIB, 256 * KIB] } as const;

/** Offsets within a header, which is checked as a whole but for its checksum. */
export const HEADER = {
  magic: 'head',
  checksum: 4,
  sequence: 8,
  fileWriteGuid: 16,
  dataWriteGuid: 32,
  logGuid: 48,
  logVersion: 64,
  version: 66,
  logLength: 68,
  logOffset: 72,
  size: 4 * KIB,
} as const;

export const REGION_TABLE = {
  magic: 'regi',
  checksum: 4,
  count: 8,
  entries: 16,
  entrySize: 32,
  maxEntries: 2047,
  size: 64 * KIB,
} as const;

/** Offsets within an entry of the region table. */
export const REGION = { guid: 0, offset: 16, length: 24, flags: 28, required: 1 } as const;

export const REGION_GUID = {
  bat: '2dc27766-f623-4200-9d64-115e9bfd4a08',
  metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e',
} as const;

export const METADATA_TABLE = {
  magic: 'metadata',
  count: 10,
  entries: 32,
  entrySize: 32,
  maxEntries: 2047,
  /** Items start behind the table. */
  size: 64 * KIB,
} as const;

/** Offsets within an entry of the metadata table. Offsets of items count from the start of the region. */
export const ITEM = { guid: 0, offset: 16, length: 20, flags: 24, user: 1, virtualDisk: 2, required: 4 } as const;

/** Items by their GUID: length in bytes, and flags that they must have. */
export const ITEMS = {
  fileParameters: { guid: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b', length: 8, flags: ITEM.required },
  diskSize: { guid: '2fa54224-cd1b-4876-b211-5dbed83bf4b8', length: 8, flags: ITEM.required | ITEM.virtualDisk },
  diskId: { guid: 'beca12ab-b2e6-4523-93ef-c309e000c746', length: 16, flags: ITEM.required | ITEM.virtualDisk },
  logicalSector: { guid: '8141bf1d-a96f-4709-ba47-f233a8faab5f', length: 4, flags: ITEM.required | ITEM.virtualDisk },
  physicalSector: { guid: 'cda348c7-445d-4471-9cc9-e9885251c556', length: 4, flags: ITEM.required | ITEM.virtualDisk },
  parentLocator: { guid: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c', length: undefined, flags: ITEM.required },
} as const;

/** Longest item, in bytes ([MS-VHDX] 2.6.1.2). */
export const MAX_ITEM_LENGTH = MIB;

/** Bits of the file parameters' second word. */
export const FILE_FLAG = { leaveBlocksAllocated: 1, hasParent: 2 } as const;

export const MIN_BLOCK_SIZE = MIB;
export const MAX_BLOCK_SIZE = 256 * MIB;
export const SECTOR_SIZES: readonly number[] = [512, 4096];

export const PARENT_LOCATOR = {
  type: 'b04aefb7-d19e-4a81-b789-25b8e9445913',
  count: 18,
  entries: 20,
  entrySize: 12,
} as const;

/** State of a payload block: the low three bits of its BAT entry. */
export const PAYLOAD = {
  notPresent: 0,
  undefined: 1,
  zero: 2,
  unmapped: 3,
  /** "Unmapped" of the format's draft 0.95, which QEMU still reads. */
  draftUnmapped: 5,
  fullyPresent: 6,
  partiallyPresent: 7,
} as const;

/** State of a sector bitmap's BAT entry. */
export const BITMAP = { notPresent: 0, present: 6 } as const;

/** Bytes of a BAT entry, and its reserved bits, which lie between the state and the offset in MiB. */
export const ENTRY = { size: 8, reserved: 0xffff8 } as const;

/** Length of a sector bitmap in bytes: one bit for each sector of the blocks of a chunk. */
export const BITMAP_SIZE = MIB;

/** Unit of the log, in bytes: entries, descriptors' targets and data are multiples of it. */
export const LOG_SECTOR = 4 * KIB;

export const LOG_ENTRY = {
  magic: 'loge',
  checksum: 4,
  length: 8,
  tail: 12,
  sequence: 16,
  descriptors: 24,
  logGuid: 32,
  flushedFileOffset: 48,
  lastFileOffset: 56,
  size: 64,
} as const;

/** Offsets within a descriptor; `trailing` and `leading` of a `desc` are the bytes that its data sector has no room for. */
export const DESCRIPTOR = {
  zero: 'zero',
  data: 'desc',
  trailing: 4,
  leading: 8,
  zeroLength: 8,
  offset: 16,
  sequence: 24,
  size: 32,
} as const;

export const DATA_SECTOR = { magic: 'data', sequenceHigh: 4, data: 8, dataEnd: 4092, sequenceLow: 4092 } as const;

/** Payload blocks whose sectors one bitmap describes, and after which the BAT has an entry for it. */
export function chunkRatioOf(blockSize: number, logicalSector: number): number {
  return (BITMAP_SIZE * 8 * logicalSector) / blockSize;
}

/** Index of a payload block's entry in the BAT. */
export function batIndexOf(block: number, chunkRatio: number): number {
  return block + Math.floor(block / chunkRatio);
}

/** Number of entries that the BAT needs ([MS-VHDX] 2.5): a disk with a parent has all bitmaps' entries, others none at the end. */
export function batEntries(size: number, blockSize: number, logicalSector: number, hasParent: boolean): number {
  const blocks = Math.ceil(size / blockSize);
  const chunkRatio = chunkRatioOf(blockSize, logicalSector);
  return hasParent ? Math.ceil(blocks / chunkRatio) * (chunkRatio + 1) : batIndexOf(blocks - 1, chunkRatio) + 1;
}
