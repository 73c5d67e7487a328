import { type ImageFile, readPadded } from '@polyvisor/core';
import { HEADER, VERSION_2_HEADER_LENGTH, VERSION_3_HEADER_LENGTH } from './layout.js';

/** The header as it stands in the file; nothing of it is checked. What version 2 does not have is as version 2 behaves. */
export interface HeaderFields {
  readonly magic: number;
  readonly version: number;
  readonly backingOffset: bigint;
  readonly backingSize: number;
  readonly clusterBits: number;
  readonly size: bigint;
  readonly cryptMethod: number;
  readonly l1Size: number;
  readonly l1Offset: bigint;
  readonly refcountTableOffset: bigint;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: bigint;
  readonly incompatible: bigint;
  readonly autoclear: bigint;
  readonly refcountOrder: number;
  readonly headerLength: number;
  readonly compressionType: number;
}

/** `file` has at least the 72 bytes of version 2. */
export async function readHeaderFields(file: ImageFile): Promise<HeaderFields> {
  const bytes = Buffer.alloc(VERSION_3_HEADER_LENGTH);
  await readPadded(file, bytes, 0);
  const u32 = (offset: number) => bytes.readUInt32BE(offset);
  const u64 = (offset: number) => bytes.readBigUInt64BE(offset);
  const newer = u32(HEADER.version) >= 3;
  const headerLength = newer ? u32(HEADER.headerLength) : VERSION_2_HEADER_LENGTH;
  return {
    magic: u32(HEADER.magic),
    version: u32(HEADER.version),
    backingOffset: u64(HEADER.backingFileOffset),
    backingSize: u32(HEADER.backingFileSize),
    clusterBits: u32(HEADER.clusterBits),
    size: u64(HEADER.size),
    cryptMethod: u32(HEADER.cryptMethod),
    l1Size: u32(HEADER.l1Size),
    l1Offset: u64(HEADER.l1TableOffset),
    refcountTableOffset: u64(HEADER.refcountTableOffset),
    refcountTableClusters: u32(HEADER.refcountTableClusters),
    snapshotCount: u32(HEADER.snapshotCount),
    snapshotsOffset: u64(HEADER.snapshotsOffset),
    incompatible: newer ? u64(HEADER.incompatibleFeatures) : 0n,
    autoclear: newer ? u64(HEADER.autoclearFeatures) : 0n,
    refcountOrder: newer ? u32(HEADER.refcountOrder) : 4,
    headerLength,
    compressionType: headerLength > HEADER.compressionType ? bytes.readUInt8(HEADER.compressionType) : 0,
  };
}
