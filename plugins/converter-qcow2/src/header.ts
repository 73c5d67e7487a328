import { FormatError, type ImageFile, type ParentReference, readPadded } from '@polyvisor/core';
import { extensionName, type HeaderExtension, readExtensions } from './extensions.js';
import { type HeaderFields, readHeaderFields } from './header-fields.js';
import { fileRules, headerRules, misplaced, type Problem } from './header-rules.js';
import {
  bytesPerL2Table,
  COMPRESSION_ZSTD,
  EXTENSION,
  INCOMPATIBLE,
  l2EntrySize,
  MAX_REFCOUNT_TABLE,
} from './layout.js';

/** What a reader needs of the header, checked. */
export interface Header {
  readonly fields: HeaderFields;
  readonly version: number;
  readonly clusterSize: number;
  readonly clusterBits: number;
  /** Guest-visible size in bytes, a multiple of 512. */
  readonly size: number;
  /** Entries of the L1 table that the disk needs; there may be more. */
  readonly l1Size: number;
  readonly l1Offset: number;
  /** Bytes of an L2 entry: 8, or 16 with sub-clusters. */
  readonly entrySize: number;
  readonly compression: 'zlib' | 'zstd';
  /** Absent where the header's fields make no sense; a reader does without it. */
  readonly refcountTable?: { readonly offset: number; readonly length: number };
  readonly extensions: readonly HeaderExtension[];
  readonly parent?: ParentReference;
  /** Rules that are broken without making the data unreadable. */
  readonly warnings: readonly string[];
}

/** Reads and checks the header. Refuses everything that would make the reader open another file or guess. */
export async function readHeader(file: ImageFile): Promise<Header> {
  for (const problem of fileRules(file)) throw refusal(file, problem);
  const fields = await readHeaderFields(file);
  const warnings: string[] = [];
  for (const problem of headerRules(file, fields)) {
    if (problem.refusal !== undefined) throw refusal(file, problem);
    warnings.push(problem.message);
  }
  const { extensions, problem } = await readExtensions(file, fields);
  if (problem !== undefined) throw refusal(file, problem);

  const clusterSize = 2 ** fields.clusterBits;
  const entrySize = l2EntrySize(fields.incompatible);
  const size = Number(fields.size - (fields.size % 512n)); // as QEMU does
  const refcountTable = refcountTableOf(file, fields);
  const parent = await readParent(file, fields);
  return {
    fields,
    version: fields.version,
    clusterSize,
    clusterBits: fields.clusterBits,
    size,
    l1Size: Math.ceil(size / bytesPerL2Table(clusterSize, entrySize)),
    l1Offset: Number(fields.l1Offset),
    entrySize,
    compression: fields.compressionType === COMPRESSION_ZSTD ? 'zstd' : 'zlib',
    ...(refcountTable === undefined ? {} : { refcountTable }),
    extensions,
    ...(parent === undefined ? {} : { parent }),
    warnings,
  };
}

/** What `inspect` prints of the header. */
export function headerFacts({ fields, clusterSize, compression, extensions }: Header) {
  const format = extensions.find(({ type }) => type === EXTENSION.backingFormat);
  return {
    version: fields.version === 2 ? '2 (compat 0.10)' : '3 (compat 1.1)',
    'cluster size': clusterSize,
    compression,
    snapshots: fields.snapshotCount,
    'refcount bits': 2 ** fields.refcountOrder,
    dirty: (fields.incompatible & INCOMPATIBLE.dirty) !== 0n,
    corrupt: (fields.incompatible & INCOMPATIBLE.corrupt) !== 0n,
    ...((fields.incompatible & INCOMPATIBLE.extendedL2) === 0n ? {} : { 'sub-clusters': true }),
    ...(format === undefined ? {} : { 'backing format': text(format.data) }),
    ...(extensions.length === 0
      ? {}
      : { 'header extensions': extensions.map(({ type }) => extensionName(type)).join(', ') }),
  };
}

/** The table of reference counts, where the header's fields for it make sense. */
export function refcountTableOf(
  file: ImageFile,
  fields: HeaderFields,
): { readonly offset: number; readonly length: number } | undefined {
  const clusterSize = 2 ** fields.clusterBits;
  const length = fields.refcountTableClusters * clusterSize;
  if (length === 0 || length > MAX_REFCOUNT_TABLE) return undefined;
  if (misplaced(file, fields.refcountTableOffset, clusterSize, length) !== undefined) return undefined;
  return { offset: Number(fields.refcountTableOffset), length };
}

/** The name is shown and never opened. */
async function readParent(file: ImageFile, fields: HeaderFields): Promise<ParentReference | undefined> {
  if (fields.backingOffset === 0n || fields.backingSize === 0) return undefined;
  const name = Buffer.alloc(fields.backingSize);
  await readPadded(file, name, Number(fields.backingOffset));
  return { names: [text(name)] };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8').replace(/\0.*$/s, '');
}

function refusal(file: ImageFile, { refusal, message, offset, expected, found, hint }: Problem): FormatError {
  return new FormatError(refusal ?? 'qcow2-invalid', message, { file: file.path, offset, expected, found, hint });
}
