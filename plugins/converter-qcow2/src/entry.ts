import { roundUp } from '@polyvisor/core';
import { COMPRESSED_SECTOR, compressedOffsetBits, ENTRY, SUBCLUSTERS } from './layout.js';

/** What decides how the entries of L2 tables are read. */
export interface EntryLayout {
  readonly version: number;
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** 8, or 16 bytes with sub-clusters. */
  readonly entrySize: number;
  /** Size of the file in bytes. */
  readonly fileSize: number;
}

/** Where a guest cluster's data is. */
export interface Mapping {
  readonly kind: 'unallocated' | 'zero' | 'plain' | 'compressed';
  /** Byte offset in the file; 0 where nothing is stored. */
  readonly host: number;
  /** Bytes from `host` in which a compressed cluster's stream ends; the last of them may be a neighbour's. */
  readonly span: number;
}

/** What is wrong with an entry of a table. */
export interface EntryProblem {
  readonly rule: string;
  readonly message: string;
  readonly expected: string;
  readonly found: string;
  /** The data can be read all the same. */
  readonly harmless?: boolean;
}

// The upper half of an entry.
const COPIED_HIGH = 0x8000_0000;
const COMPRESSED_HIGH = 0x4000_0000;
const RESERVED_HIGH = 0x3f00_0000;
const OFFSET_HIGH = 0x00ff_ffff;
// The lower half.
const ZERO_LOW = 1;
const RESERVED_LOW = 0x1fe;
const OFFSET_LOW = 0xffff_fe00;

/** Bytes of the guest's disk that are of one kind: a cluster, or a sub-cluster. */
export function unitOf({ entrySize, clusterSize }: EntryLayout): number {
  return entrySize === ENTRY ? clusterSize : clusterSize / SUBCLUSTERS;
}

export function isCopied(table: Buffer, at: number): boolean {
  return (table.readUInt32BE(at) & COPIED_HIGH) !== 0;
}

export function isCompressed(table: Buffer, at: number): boolean {
  return (table.readUInt32BE(at) & COMPRESSED_HIGH) !== 0;
}

/** The offset in bits 9–55, which L1 entries have at the same place. */
export function offsetOf(table: Buffer, at: number): number {
  return (table.readUInt32BE(at) & OFFSET_HIGH) * 2 ** 32 + ((table.readUInt32BE(at + 4) & OFFSET_LOW) >>> 0);
}

/** Place and span of a compressed cluster; `at` is the entry's position in its table. */
export function compressedAt({ clusterBits, fileSize }: EntryLayout, table: Buffer, at: number) {
  const highBits = compressedOffsetBits(clusterBits) - 32;
  const high = table.readUInt32BE(at) & ~(COPIED_HIGH | COMPRESSED_HIGH);
  const host = (high & (2 ** highBits - 1)) * 2 ** 32 + table.readUInt32BE(at + 4);
  const span = ((high >>> highBits) + 1) * COMPRESSED_SECTOR - (host % COMPRESSED_SECTOR);
  return { host, span: Math.min(span, Math.max(0, fileSize - host)) };
}

/** Reads a sound entry: unit `index` of those that the table maps. */
export function decodeUnit(layout: EntryLayout, table: Buffer, index: number): Mapping {
  const extended = layout.entrySize !== ENTRY;
  const at = (extended ? Math.floor(index / SUBCLUSTERS) : index) * layout.entrySize;
  if (isCompressed(table, at)) return { kind: 'compressed', ...compressedAt(layout, table, at) };
  const host = offsetOf(table, at);
  if (!extended) {
    if ((table.readUInt32BE(at + 4) & ZERO_LOW) !== 0) return ZERO;
    return host === 0 ? UNALLOCATED : { kind: 'plain', host, span: 0 };
  }
  const sub = index % SUBCLUSTERS;
  if (((table.readUInt32BE(at + 8) >>> sub) & 1) !== 0) return ZERO;
  if (((table.readUInt32BE(at + 12) >>> sub) & 1) === 0) return UNALLOCATED;
  return { kind: 'plain', host: host + sub * unitOf(layout), span: 0 };
}

const ZERO: Mapping = { kind: 'zero', host: 0, span: 0 };
const UNALLOCATED: Mapping = { kind: 'unallocated', host: 0, span: 0 };

/** The first rule that the entry at position `at` of its table breaks. */
export function entryProblem(layout: EntryLayout, table: Buffer, at: number): EntryProblem | undefined {
  const high = table.readUInt32BE(at);
  const low = table.readUInt32BE(at + 4);
  const extended = layout.entrySize !== ENTRY;
  if (high === 0 && low === 0 && !extended) return undefined; // most of them
  const found = `0x${table.readBigUInt64BE(at).toString(16)}`;
  if ((high & COMPRESSED_HIGH) !== 0) return compressedProblem(layout, table, at, found);
  if ((high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0 || (extended && (low & ZERO_LOW) !== 0)) {
    return { rule: 'qcow2-l2-reserved', message: 'reserved bits of an L2 entry are set', expected: 'all zero', found };
  }
  if ((low & ZERO_LOW) !== 0 && layout.version < 3) {
    return {
      rule: 'qcow2-zero-flag',
      message: 'an L2 entry has the zero flag, which version 2 does not know',
      expected: 'a clear bit 0',
      found,
    };
  }
  const host = offsetOf(table, at);
  if (host % layout.clusterSize !== 0) {
    return {
      rule: 'qcow2-cluster-unaligned',
      message: 'a data cluster starts beside a cluster of the file',
      expected: `a multiple of ${layout.clusterSize}`,
      found: `${host}`,
    };
  }
  if (host !== 0 && host >= roundUp(layout.fileSize, layout.clusterSize)) {
    return {
      rule: 'qcow2-cluster-outside',
      message: 'a data cluster lies behind the end of the file',
      expected: `an offset below ${layout.fileSize}`,
      found: `${host}`,
    };
  }
  return extended ? subclusterProblem(table, at, host) : undefined;
}

function compressedProblem(layout: EntryLayout, table: Buffer, at: number, found: string): EntryProblem | undefined {
  const { host } = compressedAt(layout, table, at);
  if (host < layout.clusterSize || host >= layout.fileSize) {
    return {
      rule: 'qcow2-compressed-outside',
      message: 'a compressed cluster lies outside the file, or in its header',
      expected: `an offset from ${layout.clusterSize} to below ${layout.fileSize}`,
      found: `${host}`,
    };
  }
  if ((table.readUInt32BE(at) & COPIED_HIGH) !== 0) {
    return {
      rule: 'qcow2-compressed-copied',
      message: 'a compressed cluster has the COPIED flag',
      expected: 'a clear bit 63',
      found,
      harmless: true,
    };
  }
  if (layout.entrySize !== ENTRY && table.readBigUInt64BE(at + ENTRY) !== 0n) {
    return {
      rule: 'qcow2-subclusters',
      message: 'a compressed cluster has sub-clusters',
      expected: 'none',
      found: `0x${table.readBigUInt64BE(at + ENTRY).toString(16)}`,
      harmless: true,
    };
  }
  return undefined;
}

function subclusterProblem(table: Buffer, at: number, host: number): EntryProblem | undefined {
  const zero = table.readUInt32BE(at + 8);
  const allocated = table.readUInt32BE(at + 12);
  const found = `0x${table.readBigUInt64BE(at + ENTRY).toString(16)}`;
  if ((zero & allocated) !== 0) {
    return {
      rule: 'qcow2-subclusters',
      message: 'sub-clusters are allocated and zero at the same time',
      expected: 'one of both bits at most',
      found,
    };
  }
  if (host === 0 && allocated !== 0) {
    return {
      rule: 'qcow2-subclusters',
      message: 'sub-clusters are allocated in no cluster',
      expected: 'no allocated sub-cluster',
      found,
    };
  }
  return undefined;
}

/** The first rule that an L1 entry breaks; `at` is its position in the table. */
export function l1Problem({ clusterSize, fileSize }: EntryLayout, table: Buffer, at: number): EntryProblem | undefined {
  const high = table.readUInt32BE(at);
  const low = table.readUInt32BE(at + 4);
  if (high === 0 && low === 0) return undefined;
  if ((high & (RESERVED_HIGH | COMPRESSED_HIGH)) !== 0 || (low & ~OFFSET_LOW) !== 0) {
    return {
      rule: 'qcow2-l1-reserved',
      message: 'reserved bits of an L1 entry are set',
      expected: 'all zero',
      found: `0x${table.readBigUInt64BE(at).toString(16)}`,
    };
  }
  const host = offsetOf(table, at);
  if (host === 0) {
    return {
      rule: 'qcow2-copied',
      message: 'an L1 entry has the COPIED flag and no table',
      expected: 'a clear bit 63',
      found: 'set',
      harmless: true,
    };
  }
  if (host % clusterSize !== 0) {
    return {
      rule: 'qcow2-l2-unaligned',
      message: 'an L2 table starts beside a cluster of the file',
      expected: `a multiple of ${clusterSize}`,
      found: `${host}`,
    };
  }
  if (host + clusterSize > roundUp(fileSize, clusterSize)) {
    return {
      rule: 'qcow2-l2-outside',
      message: 'an L2 table lies behind the end of the file',
      expected: `an offset below ${fileSize}`,
      found: `${host}`,
    };
  }
  return undefined;
}
