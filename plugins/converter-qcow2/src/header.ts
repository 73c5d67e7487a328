import { type ByteSource, FormatError, type ImageFile, roundUp } from '@polyvisor/core';
import {
  bytesPerL2Table,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
  ENTRY,
  HEADER,
  INCOMPATIBLE,
  MAGIC,
  MAX_CLUSTER_BITS,
  MAX_L1_ENTRIES,
  MIN_CLUSTER_BITS,
  VERSION_2_HEADER_LENGTH,
  VERSION_3_HEADER_LENGTH,
  VERSION_3_MINIMUM_LENGTH,
} from './layout.js';

/** What a reader needs of the header, checked. */
export interface Header {
  readonly version: number;
  readonly clusterSize: number;
  readonly clusterBits: number;
  /** Guest-visible size in bytes, a multiple of 512. */
  readonly size: number;
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly compression: 'zlib' | 'zstd';
  readonly snapshots: number;
  /** The writer did not close the image; its reference counts may be off, the guest's data is not. */
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly refcountBits: number;
}

const MAX_SNAPSHOTS = 65_536;

/** Reads and checks the header. Refuses everything that would make the reader open another file or guess. */
export async function readHeader(file: ImageFile): Promise<Header> {
  const bytes = Buffer.alloc(VERSION_3_HEADER_LENGTH);
  const fail = (offset: number, what: string, expected: string, found: string | number | bigint): never => {
    throw new FormatError('qcow2-invalid', what, { file: file.path, offset, expected, found: String(found) });
  };
  if (file.size < VERSION_2_HEADER_LENGTH)
    fail(0, 'the file is too short for a qcow2 header', `${VERSION_2_HEADER_LENGTH} bytes`, file.size);
  await file.read(bytes.subarray(0, Math.min(bytes.length, file.size)), 0);

  const u32 = (offset: number) => bytes.readUInt32BE(offset);
  const u64 = (offset: number) => bytes.readBigUInt64BE(offset);
  if (u32(HEADER.magic) !== MAGIC)
    fail(HEADER.magic, 'not a qcow2 image', `0x${MAGIC.toString(16)}`, `0x${u32(HEADER.magic).toString(16)}`);
  const version = u32(HEADER.version);
  if (version !== 2 && version !== 3) fail(HEADER.version, 'unknown version of qcow2', '2 or 3', version);
  if (version === 3 && file.size < VERSION_3_MINIMUM_LENGTH)
    fail(0, 'the file is too short for its header', `${VERSION_3_MINIMUM_LENGTH} bytes`, file.size);

  const clusterBits = u32(HEADER.clusterBits);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    fail(
      HEADER.clusterBits,
      'cluster size out of range',
      `${MIN_CLUSTER_BITS} to ${MAX_CLUSTER_BITS} bits`,
      clusterBits,
    );
  }
  const clusterSize = 2 ** clusterBits;
  refuseForeignData(file, bytes, version);

  const headerLength = version === 2 ? VERSION_2_HEADER_LENGTH : u32(HEADER.headerLength);
  if (version === 3 && (headerLength < VERSION_3_MINIMUM_LENGTH || headerLength > clusterSize)) {
    fail(
      HEADER.headerLength,
      'header length out of range',
      `${VERSION_3_MINIMUM_LENGTH} to ${clusterSize}`,
      headerLength,
    );
  }
  const features = version === 3 ? u64(HEADER.incompatibleFeatures) : 0n;
  const compressionType =
    headerLength > HEADER.compressionType ? bytes.readUInt8(HEADER.compressionType) : COMPRESSION_ZLIB;
  if (compressionType !== COMPRESSION_ZLIB && compressionType !== COMPRESSION_ZSTD) {
    fail(HEADER.compressionType, 'unknown compression', '0 (zlib) or 1 (zstd)', compressionType);
  }
  if (((features & INCOMPATIBLE.compressionType) !== 0n) !== (compressionType !== COMPRESSION_ZLIB)) {
    fail(
      HEADER.compressionType,
      'compression type and feature bit 3 disagree',
      'both set or both clear',
      compressionType,
    );
  }
  const refcountOrder = version === 3 ? u32(HEADER.refcountOrder) : 4;
  if (refcountOrder > 6)
    fail(HEADER.refcountOrder, 'reference count width out of range', 'order 0 to 6', refcountOrder);

  const snapshots = u32(HEADER.snapshotCount);
  if (snapshots > MAX_SNAPSHOTS)
    fail(HEADER.snapshotCount, 'too many snapshots', `at most ${MAX_SNAPSHOTS}`, snapshots);

  const wide = u64(HEADER.size);
  const l1Size = u32(HEADER.l1Size);
  if (l1Size > MAX_L1_ENTRIES) fail(HEADER.l1Size, 'L1 table too large', `at most ${MAX_L1_ENTRIES} entries`, l1Size);
  if (wide > BigInt(l1Size) * BigInt(bytesPerL2Table(clusterSize)) || wide > BigInt(Number.MAX_SAFE_INTEGER)) {
    fail(
      HEADER.size,
      'the L1 table does not cover the disk',
      `a disk of at most ${BigInt(l1Size) * BigInt(bytesPerL2Table(clusterSize))} bytes`,
      wide,
    );
  }
  const size = Number(wide) - (Number(wide) % 512); // as QEMU does
  if (size === 0) fail(HEADER.size, 'the disk is empty', 'at least 512 bytes', wide);
  const l1Offset = checkedOffset(
    file,
    u64(HEADER.l1TableOffset),
    HEADER.l1TableOffset,
    clusterSize,
    l1Size * ENTRY,
    'L1 table',
  );
  return {
    version,
    clusterSize,
    clusterBits,
    size,
    l1Size: Math.ceil(size / bytesPerL2Table(clusterSize)),
    l1Offset,
    compression: compressionType === COMPRESSION_ZSTD ? 'zstd' : 'zlib',
    snapshots,
    dirty: (features & INCOMPATIBLE.dirty) !== 0n,
    corrupt: (features & INCOMPATIBLE.corrupt) !== 0n,
    refcountBits: 2 ** refcountOrder,
  };
}

/** Everything that makes the guest's data come from elsewhere, be encrypted, or mean something unknown. */
function refuseForeignData(file: ImageFile, bytes: Buffer, version: number): void {
  const refuse = (offset: number, what: string, hint: string): never => {
    throw new FormatError('qcow2-unsupported', what, { file: file.path, offset, hint });
  };
  if (bytes.readBigUInt64BE(HEADER.backingFileOffset) !== 0n) {
    refuse(
      HEADER.backingFileOffset,
      'the image is an overlay: the rest of its data is in a backing file, which is never opened by itself',
      'flatten it first',
    );
  }
  if (bytes.readUInt32BE(HEADER.cryptMethod) !== 0)
    refuse(HEADER.cryptMethod, 'the image is encrypted', 'decrypt it first');
  if (version !== 3) return;
  const features = bytes.readBigUInt64BE(HEADER.incompatibleFeatures);
  if ((features & INCOMPATIBLE.externalDataFile) !== 0n) {
    refuse(
      HEADER.incompatibleFeatures,
      'the data is in an external data file, which is never opened',
      'convert it to a self-contained image first',
    );
  }
  if ((features & INCOMPATIBLE.extendedL2) !== 0n)
    refuse(
      HEADER.incompatibleFeatures,
      'the image has sub-clusters (extended L2 entries)',
      'rewrite it without extended_l2',
    );
  const known = Object.values(INCOMPATIBLE).reduce((all, bit) => all | bit, 0n);
  if ((features & ~known) !== 0n)
    refuse(
      HEADER.incompatibleFeatures,
      `unknown incompatible features 0x${(features & ~known).toString(16)}`,
      'a newer polyvisor may know them',
    );
}

/** A host offset as the format wants it: on a cluster, behind the header, and with all its bytes in the file. */
export function checkedOffset(
  file: ByteSource & { readonly path: string },
  value: bigint,
  at: number,
  clusterSize: number,
  length: number,
  what: string,
): number {
  const fail = (expected: string): never => {
    throw new FormatError('qcow2-invalid', `${what} at an impossible place`, {
      file: file.path,
      offset: at,
      expected,
      found: String(value),
    });
  };
  if (value % BigInt(clusterSize) !== 0n || value === 0n) fail(`a multiple of the cluster size ${clusterSize}, not 0`);
  // The last cluster of a file may be cut short: what is not there reads as zero.
  if (value + BigInt(length) > BigInt(roundUp(file.size, clusterSize)))
    fail(`${length} bytes inside the file of ${file.size} bytes`);
  return Number(value);
}
