/**
 * The constants of sparse VMDK extents ("Virtual Disk Format 5.0", VMware technical note, 2011), as the writer and the
 * reader share them. All integers are little-endian; "sector" is 512 bytes; offsets of fields are bytes.
 */

export const SECTOR = 512;

/** The first four bytes: "KDMV". */
export const MAGIC = 0x564d444b;
/** ESX 3's own sparse format (vmfsSparse): a header and tables of its own, the same idea. */
export const COWD_MAGIC = 0x44574f43;
/** Space-efficient sparse, vSphere's snapshot format, not supported here. */
export const SESPARSE_MAGIC = 0xcafebabe;

/** The header, and the footer that repeats it. 512 bytes, packed. */
export const HEADER = {
  size: 512,
  magic: 0,
  version: 4,
  flags: 8,
  /** In sectors, as are all the sizes and offsets below. */
  capacity: 12,
  grainSize: 20,
  descriptorOffset: 28,
  descriptorSize: 36,
  entriesPerTable: 44,
  redundantDirectory: 48,
  directory: 56,
  overhead: 64,
  uncleanShutdown: 72,
  newlines: 73,
  compression: 77,
} as const;

/**
 * The header of a COWD extent, as far as it is read; all fields are 32 bits wide. Its tables have 4096 entries, and its
 * grains are usually a single sector.
 */
export const COWD = {
  size: 512,
  version: 4,
  /** In sectors, as is the grain. */
  capacity: 12,
  grainSize: 16,
  directory: 20,
  directoryEntries: 24,
  entriesPerTable: 4096,
  /** Header and reserved space, in sectors: nothing else starts before that. */
  reserved: 4,
} as const;

/** Line feed, space, carriage return, line feed: broken when a file went through a transfer in text mode. */
export const NEWLINES = 0x0a0d200a;

export const FLAG = {
  newlinesValid: 1,
  redundantTables: 2,
  zeroedGrains: 4,
  compressed: 0x1_0000,
  markers: 0x2_0000,
} as const;

/** What VMware's own tools write, and the only version that ESXi deploys from. */
export const STREAM_VERSION = 3;

export const COMPRESSION_DEFLATE = 1;

/** "The grain directory is behind the data, the footer tells where." */
export const DIRECTORY_IN_FOOTER = 0xffff_ffff_ffff_ffffn;

/** Smallest part of the disk that is stored or left out, in sectors: 64 KiB. Other sizes are legal, nobody writes them. */
export const GRAIN_SECTORS = 128;
export const GRAIN_SIZE = GRAIN_SECTORS * SECTOR;

/** Every consumer wants this number. One table then covers 32 MiB and takes four sectors. */
export const ENTRIES_PER_TABLE = 512;
export const TABLE_SIZE = ENTRIES_PER_TABLE * 4;
export const TABLE_SECTORS = TABLE_SIZE / SECTOR;

/** Table entries: the grain is not stored; the grain is zero by decree (not in streams, where sector 1 is the descriptor). */
export const GRAIN_ABSENT = 0;
export const GRAIN_ZERO = 1;

/**
 * Markers stand before everything in a stream. That of a grain is 12 bytes (its sector on the disk, the length of the
 * zlib stream that follows at once); the others have length 0 and take a sector, in which a type follows.
 */
export const MARKER = {
  /** Sectors of what follows, or the grain's first sector on the disk. */
  value: 0,
  /** Bytes of compressed data. */
  length: 8,
  type: 12,
  grainHeaderSize: 12,
} as const;

export const MARKER_TYPE = { endOfStream: 0, table: 1, directory: 2, footer: 3 } as const;

/** Largest grain accepted, in sectors (1 MiB); everybody writes 128. Bounds the memory of a read. */
export const MAX_GRAIN_SECTORS = 2048;

/** Largest grain directory, in bytes: enough for 62 TiB in grains of 64 KiB, twice. */
export const MAX_DIRECTORY = 16 * 1024 * 1024;

/** Most extents of one disk. VMware's split disks have one for each 2 GiB. */
export const MAX_EXTENTS = 4096;

/** From the end of the file: the footer's marker, the footer, the end-of-stream marker. */
export const TAIL_SIZE = 3 * SECTOR;

/** Sectors are 32-bit numbers in the tables, so a file ends here: 2 TiB. In bytes. */
export const MAX_FILE_SIZE = 2 ** 32 * SECTOR;

/** vSphere's limit on the capacity of a virtual disk, 62 TiB. In bytes. */
export const MAX_CAPACITY = 62 * 2 ** 40;

/** Largest room for a descriptor accepted, in bytes, as QEMU does. Most reserve 10 KiB; VirtualBox 100 KiB for its sparse disks. */
export const MAX_DESCRIPTOR = 1024 * 1024;
