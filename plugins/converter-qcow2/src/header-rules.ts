import { type Finding, type ImageFile, roundUp } from '@polyvisor/core';
import type { HeaderFields } from './header-fields.js';
import {
  AUTOCLEAR,
  bytesPerL2Table,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
  CONSUMERS,
  ENTRY,
  HEADER,
  INCOMPATIBLE,
  l2EntrySize,
  MAGIC,
  MAX_BACKING_NAME,
  MAX_CLUSTER_BITS,
  MAX_L1_ENTRIES,
  MAX_REFCOUNT_TABLE,
  MAX_SNAPSHOTS,
  MIN_CLUSTER_BITS,
  MIN_EXTENDED_CLUSTER_BITS,
  VERSION_2_HEADER_LENGTH,
  VERSION_3_MINIMUM_LENGTH,
} from './layout.js';

/** A header rule that is broken, for `check` to report and for the reader to refuse. */
export interface Problem extends Finding {
  readonly offset: number;
  /** Set when the guest's data cannot be had: the code of the reader's refusal. */
  readonly refusal?: 'qcow2-invalid' | 'qcow2-unsupported';
  /** Nothing that the header points to can be looked at. */
  readonly fatal?: boolean;
}

type Details = Partial<Omit<Problem, 'rule' | 'message' | 'offset'>>;

/** Makes the table unusable for everybody. */
const FATAL: Details = { refusal: 'qcow2-invalid', fatal: true };

function problem(rule: string, offset: number, message: string, details: Details = {}): Problem {
  return { rule: `qcow2-${rule}`, offset, message, severity: 'error', refusedBy: CONSUMERS, ...details };
}

/** The rules of a file that is too short to have a header at all. */
export function* fileRules(file: ImageFile): Generator<Problem> {
  if (file.size >= VERSION_2_HEADER_LENGTH) return;
  yield problem('too-short', 0, 'the file is too short for a qcow2 header', {
    ...FATAL,
    expected: `at least ${VERSION_2_HEADER_LENGTH} bytes`,
    found: `${file.size}`,
  });
}

/**
 * Every rule of the header's fields, in the order in which they depend on each other: after one that is `fatal`, nothing
 * follows.
 */
export function* headerRules(file: ImageFile, header: HeaderFields): Generator<Problem> {
  for (const found of [...identityRules(file, header)]) {
    yield found;
    if (found.fatal === true) return;
  }
  yield* backingRules(header);
  yield* stateRules(header);
  for (const found of [...tableRules(file, header)]) {
    yield found;
    if (found.fatal === true) return;
  }
}

/** Version, features, widths: what decides how everything else is read. */
function* identityRules(file: ImageFile, header: HeaderFields): Generator<Problem> {
  const { version, clusterBits, headerLength, incompatible, compressionType, refcountOrder } = header;
  if (header.magic !== MAGIC) {
    yield problem('magic', HEADER.magic, 'not a qcow2 image', {
      ...FATAL,
      expected: `0x${MAGIC.toString(16)}`,
      found: `0x${header.magic.toString(16)}`,
    });
  }
  if (version !== 2 && version !== 3) {
    yield problem('version', HEADER.version, 'unknown version of qcow2', {
      ...FATAL,
      expected: '2 or 3',
      found: `${version}`,
    });
  }
  if (version === 3 && file.size < VERSION_3_MINIMUM_LENGTH) {
    yield problem('too-short', 0, 'the file is too short for its header', {
      ...FATAL,
      expected: `${VERSION_3_MINIMUM_LENGTH} bytes`,
      found: `${file.size}`,
    });
  }
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    yield problem('cluster-bits', HEADER.clusterBits, 'cluster size out of range', {
      ...FATAL,
      expected: `${MIN_CLUSTER_BITS} to ${MAX_CLUSTER_BITS} bits`,
      found: `${clusterBits}`,
    });
  }
  if (version === 3) {
    const clusterSize = 2 ** Math.min(clusterBits, MAX_CLUSTER_BITS);
    if (headerLength < VERSION_3_MINIMUM_LENGTH || headerLength > clusterSize) {
      yield problem('header-length', HEADER.headerLength, 'header length out of range', {
        ...FATAL,
        expected: `${VERSION_3_MINIMUM_LENGTH} to ${clusterSize}`,
        found: `${headerLength}`,
      });
    } else if (headerLength % 8 !== 0) {
      yield problem('header-length', HEADER.headerLength, 'header length is no multiple of 8', {
        refusedBy: [],
        found: `${headerLength}`,
      });
    }
  }
  const known = Object.values(INCOMPATIBLE).reduce((all, bit) => all | bit, 0n);
  if ((incompatible & ~known) !== 0n) {
    yield problem('feature-unknown', HEADER.incompatibleFeatures, 'unknown incompatible features', {
      refusal: 'qcow2-unsupported',
      fatal: true,
      expected: `none beside 0x${known.toString(16)}`,
      found: `0x${(incompatible & ~known).toString(16)}`,
      hint: 'a newer polyvisor may know them',
    });
  }
  if ((incompatible & INCOMPATIBLE.externalDataFile) !== 0n) {
    yield problem(
      'data-file',
      HEADER.incompatibleFeatures,
      'the data is in an external data file, which is never opened',
      {
        refusal: 'qcow2-unsupported',
        fatal: true,
        refusedBy: CONSUMERS.filter((consumer) => consumer !== 'kvm'),
        hint: 'convert it to a self-contained image first',
      },
    );
  }
  if ((incompatible & INCOMPATIBLE.extendedL2) !== 0n && clusterBits < MIN_EXTENDED_CLUSTER_BITS) {
    yield problem('cluster-bits', HEADER.clusterBits, 'clusters too small for sub-clusters', {
      ...FATAL,
      expected: `at least ${MIN_EXTENDED_CLUSTER_BITS} bits`,
      found: `${clusterBits}`,
    });
  }
  if (compressionType !== COMPRESSION_ZLIB && compressionType !== COMPRESSION_ZSTD) {
    yield problem('compression-type', HEADER.compressionType, 'unknown compression', {
      ...FATAL,
      expected: '0 (zlib) or 1 (zstd)',
      found: `${compressionType}`,
    });
  } else if (((incompatible & INCOMPATIBLE.compressionType) !== 0n) !== (compressionType !== COMPRESSION_ZLIB)) {
    yield problem('compression-type', HEADER.compressionType, 'compression type and feature bit 3 disagree', {
      ...FATAL,
      expected: 'both set or both clear',
      found: `type ${compressionType}`,
    });
  }
  if (refcountOrder > 6) {
    yield problem('refcount-order', HEADER.refcountOrder, 'reference count width out of range', {
      ...FATAL,
      expected: 'order 0 to 6',
      found: `${refcountOrder}`,
    });
  }
}

/** The name of the backing file: only its place is a matter of the format. */
function* backingRules({ backingOffset, backingSize, headerLength, clusterBits }: HeaderFields): Generator<Problem> {
  if (backingOffset === 0n) return;
  const end = backingOffset + BigInt(backingSize);
  if (backingSize > MAX_BACKING_NAME || backingOffset < BigInt(headerLength) || end > BigInt(2 ** clusterBits)) {
    yield problem('backing-name', HEADER.backingFileOffset, 'the name of the backing file at an impossible place', {
      refusal: 'qcow2-invalid',
      expected: `at most ${MAX_BACKING_NAME} bytes between the header and the end of the first cluster`,
      found: `${backingSize} bytes at ${backingOffset}`,
    });
  } else if (backingSize === 0) {
    yield problem('backing-name', HEADER.backingFileSize, 'a backing file without a name', {
      severity: 'warning',
      refusedBy: [],
    });
  }
}

/** What the last writer left behind, and what cannot be read although the tables can. */
function* stateRules({ cryptMethod, incompatible }: HeaderFields): Generator<Problem> {
  if (cryptMethod !== 0) {
    yield problem('encrypted', HEADER.cryptMethod, 'the image is encrypted', {
      refusal: 'qcow2-unsupported',
      refusedBy: cryptMethod > 2 ? CONSUMERS : CONSUMERS.filter((consumer) => consumer !== 'kvm'),
      expected: '0',
      found: `${cryptMethod}${['', ' (AES)', ' (LUKS)'][cryptMethod] ?? ''}`,
      hint: 'decrypt it first: qemu-img convert with its --object secret',
    });
  }
  if ((incompatible & INCOMPATIBLE.corrupt) !== 0n) {
    yield problem(
      'corrupt',
      HEADER.incompatibleFeatures,
      'marked as corrupt: QEMU found damage and writes to it no more',
      {
        hint: 'polyvisor repair, if nothing worse is found',
      },
    );
  }
  if ((incompatible & INCOMPATIBLE.dirty) !== 0n) {
    yield problem('dirty', HEADER.incompatibleFeatures, 'not closed by its last writer; reference counts may be off', {
      severity: 'warning',
      refusedBy: [],
      hint: 'polyvisor repair mends the reference counts and clears the mark',
    });
  }
}

/** Places and sizes of the tables. */
function* tableRules(file: ImageFile, header: HeaderFields): Generator<Problem> {
  const { clusterBits, size, l1Size } = header;
  const clusterSize = 2 ** clusterBits;
  const entrySize = l2EntrySize(header.incompatible);
  if (header.snapshotCount > MAX_SNAPSHOTS) {
    yield problem('snapshot-count', HEADER.snapshotCount, 'too many snapshots', {
      ...FATAL,
      expected: `at most ${MAX_SNAPSHOTS}`,
      found: `${header.snapshotCount}`,
    });
  } else if (header.snapshotCount > 0) {
    yield* placeRules(
      file,
      header.snapshotsOffset,
      HEADER.snapshotsOffset,
      clusterSize,
      1,
      'snapshot-table',
      'snapshot table',
      {
        refusal: 'qcow2-invalid',
      },
    );
  }
  yield* refcountTableRules(file, header);
  if (l1Size > MAX_L1_ENTRIES) {
    yield problem('l1-size', HEADER.l1Size, 'L1 table too large', {
      ...FATAL,
      expected: `at most ${MAX_L1_ENTRIES} entries`,
      found: `${l1Size}`,
    });
  }
  const most = BigInt(l1Size) * BigInt(bytesPerL2Table(clusterSize, entrySize));
  if (size > most || size > BigInt(Number.MAX_SAFE_INTEGER)) {
    yield problem('size', HEADER.size, 'the L1 table does not cover the disk', {
      ...FATAL,
      expected: `a disk of at most ${most} bytes`,
      found: `${size}`,
    });
  }
  if (size < 512n) {
    yield problem('size', HEADER.size, 'the disk is empty', {
      severity: 'warning',
      refusal: 'qcow2-invalid',
      refusedBy: [],
      expected: 'at least 512 bytes',
      found: `${size}`,
    });
  } else if (size % 512n !== 0n) {
    yield problem('size', HEADER.size, 'the size is no multiple of 512: the last, partial sector is left out', {
      severity: 'warning',
      refusedBy: [],
      found: `${size}`,
    });
  }
  if (l1Size > 0) {
    yield* placeRules(
      file,
      header.l1Offset,
      HEADER.l1TableOffset,
      clusterSize,
      l1Size * ENTRY,
      'l1-offset',
      'L1 table',
      FATAL,
    );
  }
}

/** A reader does without reference counts, so these are no reason to refuse the image. */
function* refcountTableRules(file: ImageFile, header: HeaderFields): Generator<Problem> {
  const clusterSize = 2 ** header.clusterBits;
  const bytes = header.refcountTableClusters * clusterSize;
  if (bytes === 0 || bytes > MAX_REFCOUNT_TABLE) {
    yield problem('refcount-table', HEADER.refcountTableClusters, 'refcount table of an impossible size', {
      expected: `1 to ${MAX_REFCOUNT_TABLE / clusterSize} clusters`,
      found: `${header.refcountTableClusters}`,
      hint: 'polyvisor repair makes a new one',
    });
    return;
  }
  yield* placeRules(
    file,
    header.refcountTableOffset,
    HEADER.refcountTableOffset,
    clusterSize,
    bytes,
    'refcount-table',
    'refcount table',
    { hint: 'polyvisor repair makes a new one' },
  );
}

function* placeRules(
  file: ImageFile,
  value: bigint,
  at: number,
  clusterSize: number,
  length: number,
  rule: string,
  what: string,
  details: Details,
): Generator<Problem> {
  const wrong = misplaced(file, value, clusterSize, length);
  if (wrong !== undefined)
    yield problem(rule, at, `${what} at an impossible place`, { ...details, expected: wrong, found: `${value}` });
}

/** What a host offset should be, where it is not: on a cluster, behind the header, and with all its bytes in the file. */
export function misplaced(file: ImageFile, value: bigint, clusterSize: number, length: number): string | undefined {
  if (value % BigInt(clusterSize) !== 0n || value === 0n) return `a multiple of the cluster size ${clusterSize}, not 0`;
  // The last cluster of a file may be cut short: what is not there reads as zero.
  if (value + BigInt(length) > BigInt(roundUp(file.size, clusterSize)))
    return `${length} bytes inside the file of ${file.size} bytes`;
  return undefined;
}

/** Whether the bitmaps that an extension lists are in step with the disk; otherwise they are to be ignored. */
export function bitmapsValid({ autoclear }: HeaderFields): boolean {
  return (autoclear & AUTOCLEAR.bitmaps) !== 0n;
}
