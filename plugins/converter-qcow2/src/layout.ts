/**
 * QCOW2 as docs/interop/qcow2 of QEMU describes it: all fields big-endian. Guest offset → L1 entry → L2 table → L2
 * entry → host cluster. Every host cluster has a reference count, kept in refcount blocks found by a refcount table.
 */

/** `QFI\xfb` */
export const MAGIC = 0x514649fb;

/** Offsets of the header's fields, in bytes. */
export const HEADER = {
  magic: 0,
  version: 4,
  backingFileOffset: 8,
  backingFileSize: 16,
  clusterBits: 20,
  size: 24,
  cryptMethod: 32,
  l1Size: 36,
  l1TableOffset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshotCount: 60,
  snapshotsOffset: 64,
  // version 3 only
  incompatibleFeatures: 72,
  compatibleFeatures: 80,
  autoclearFeatures: 88,
  refcountOrder: 96,
  headerLength: 100,
  compressionType: 104,
} as const;

export const VERSION_2_HEADER_LENGTH = 72;
/** Up to the compression type and its padding. */
export const VERSION_3_HEADER_LENGTH = 112;
/** Shortest header of version 3, without the compression type. */
export const VERSION_3_MINIMUM_LENGTH = 104;

export const INCOMPATIBLE = {
  dirty: 1n << 0n,
  corrupt: 1n << 1n,
  externalDataFile: 1n << 2n,
  compressionType: 1n << 3n,
  extendedL2: 1n << 4n,
} as const;

export const AUTOCLEAR = { bitmaps: 1n << 0n } as const;

/** Types of header extensions. */
export const EXTENSION = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  encryption: 0x0537be77,
  dataFile: 0x44415441,
} as const;

/** Who loads qcow2 images, as `check --for` names them. All of them do so with QEMU's own code. */
export const CONSUMERS: readonly string[] = ['kvm', 'xcp-ng', 'cloudstack'];

export const COMPRESSION_ZLIB = 0;
export const COMPRESSION_ZSTD = 1;

/** 512 bytes to 2 MiB: the format's minimum and QEMU's maximum. */
export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 21;
/** Sub-clusters are 1/32 of a cluster and have at least 512 bytes. */
export const MIN_EXTENDED_CLUSTER_BITS = 14;
export const SUBCLUSTERS = 32;

/** Bytes of an entry in the L1 table, an L2 table and the refcount table. */
export const ENTRY = 8;

/** QEMU refuses an L1 table of more than 32 MiB. */
export const MAX_L1_ENTRIES = (32 * 1024 * 1024) / ENTRY;

/** The same limits for the refcount table (in bytes), the snapshots, and the name of the backing file (in bytes). */
export const MAX_REFCOUNT_TABLE = 8 * 1024 * 1024;
export const MAX_SNAPSHOTS = 65_536;
export const MAX_BACKING_NAME = 1023;

/** Offsets within an entry of the snapshot table; extra data, id and name follow, padded to a multiple of 8. */
export const SNAPSHOT = {
  l1Offset: 0,
  l1Size: 8,
  idLength: 12,
  nameLength: 14,
  seconds: 16,
  nanoseconds: 20,
  guestClock: 24,
  stateSize: 32,
  extraLength: 36,
  length: 40,
} as const;

/** What QEMU reads of them, in bytes. */
export const MAX_SNAPSHOT_EXTRA = 1024;
export const MAX_SNAPSHOT_TABLE = 64 * 1024 * 1024;

/** Reference counts are 16 bits wide: the only width of version 2, the default of version 3. */
export const REFCOUNT_BYTES = 2;
export const REFCOUNT_ORDER = 4;

/** Bits 9–55 of an L1, L2 or refcount table entry: a host offset. */
export const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;
/** Set where the reference count is exactly one; never on compressed clusters. */
export const COPIED = 1n << 63n;
export const COMPRESSED = 1n << 62n;
/** Version 3: the cluster reads as zeros, whatever its offset. */
export const ZERO_CLUSTER = 1n;

/** Compressed clusters are measured in sectors of this many bytes, whatever the cluster size. */
export const COMPRESSED_SECTOR = 512;

/** Number of low bits of a compressed L2 entry that hold the host byte offset; the sector count lies above them. */
export function compressedOffsetBits(clusterBits: number): number {
  return 62 - (clusterBits - 8);
}

/** Bytes of an entry in an L2 table: with sub-clusters it has a second half, which says what each of them is. */
export function l2EntrySize(incompatible: bigint): number {
  return (incompatible & INCOMPATIBLE.extendedL2) === 0n ? ENTRY : 2 * ENTRY;
}

/** Guest bytes that one L2 table maps. */
export function bytesPerL2Table(clusterSize: number, entrySize = ENTRY): number {
  return (clusterSize / entrySize) * clusterSize;
}
