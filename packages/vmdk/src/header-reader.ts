import type { ImageFile } from '@polyvisor/core';
import { decodeDescriptor } from './descriptor-parser.js';
import { type Descriptor, readDescriptor } from './descriptor-reader.js';
import {
  COMPRESSION_DEFLATE,
  COWD_MAGIC,
  DIRECTORY_IN_FOOTER,
  ENTRIES_PER_TABLE,
  FLAG,
  HEADER,
  MAGIC,
  MARKER,
  MARKER_TYPE,
  MAX_CAPACITY,
  MAX_DESCRIPTOR,
  MAX_GRAIN_SECTORS,
  NEWLINES,
  SECTOR,
  SESPARSE_MAGIC,
  STREAM_VERSION,
  TAIL_SIZE,
} from './layout.js';
import { damaged, readAt, unsupported } from './refusal.js';

/**
 * What is expected of a sparse file: a compressed stream without a parent (an appliance's disk), a whole disk of any kind, or
 * one extent of a disk that another file describes.
 */
export type Role = 'stream' | 'whole' | 'part';

/** What header and footer say, checked against each other and the file. Everything that finding a grain takes. */
export interface SparseHeader {
  /** In sectors, all three. */
  readonly capacity: number;
  readonly grainSectors: number;
  /** End of the header and the descriptor: nothing else may lie before this. */
  readonly reserved: number;
  readonly entriesPerTable: number;
  readonly version: number;
  readonly compressed: boolean;
  /** The directory's first sector, and that of its copy where there is one; not yet checked. */
  readonly directory: bigint;
  readonly redundantDirectory: bigint | undefined;
  readonly directoryInFooter: boolean;
  readonly unclean: boolean;
}

export interface DescribedHeader extends SparseHeader {
  readonly descriptor: Descriptor;
}

/** Reads and checks everything about a disk in one file but its grain directory. */
export async function readHeader(file: ImageFile, role: 'stream' | 'whole'): Promise<DescribedHeader> {
  const bytes = await readAt(file, 0, HEADER.size, 'the header');
  const geometry = checkHeader(file, bytes, role);
  const descriptor = await openDescriptor(file, bytes, geometry, role);
  return { ...(await completeHeader(file, bytes, geometry)), capacity: descriptor.sectors, descriptor };
}

/** The same for one extent of a disk that is described elsewhere: a descriptor of its own is not looked at. */
export async function readPartHeader(file: ImageFile): Promise<SparseHeader> {
  const bytes = await readAt(file, 0, HEADER.size, 'the header');
  return completeHeader(file, bytes, checkHeader(file, bytes, 'part'));
}

type Geometry = Pick<SparseHeader, 'capacity' | 'grainSectors' | 'reserved' | 'compressed'>;

async function completeHeader(file: ImageFile, bytes: Buffer, geometry: Geometry): Promise<SparseHeader> {
  const directoryInFooter = geometry.compressed && bytes.readBigUInt64LE(HEADER.directory) === DIRECTORY_IN_FOOTER;
  const directory = (directoryInFooter ? await readFooter(file, bytes) : bytes).readBigUInt64LE(HEADER.directory);
  const redundant = bytes.readBigUInt64LE(HEADER.redundantDirectory);
  const hasCopy = (bytes.readUInt32LE(HEADER.flags) & FLAG.redundantTables) !== 0 && redundant !== 0n;
  return {
    ...geometry,
    entriesPerTable: ENTRIES_PER_TABLE,
    version: bytes.readUInt32LE(HEADER.version),
    directory,
    redundantDirectory: hasCopy && !directoryInFooter ? redundant : undefined,
    directoryInFooter,
    unclean: bytes.readUInt8(HEADER.uncleanShutdown) !== 0,
  };
}

function checkHeader(file: ImageFile, header: Buffer, role: Role): Geometry {
  const field32 = (offset: number) => header.readUInt32LE(offset);
  const magic = field32(HEADER.magic);
  if (magic === COWD_MAGIC || magic === SESPARSE_MAGIC) {
    throw unsupported(file, `this is ESX's own ${magic === COWD_MAGIC ? 'vmfsSparse' : 'SESparse'} format`);
  }
  if (header.toString('latin1', 0, 256).includes('# Disk DescriptorFile')) {
    throw unsupported(file, 'this is a VMDK descriptor that names other files; they are not followed');
  }
  const expect = (ok: boolean, what: string, offset: number, expected: string, found: number | bigint) => {
    if (!ok) throw damaged(file, what, { offset, expected, found: `${found}` });
  };
  expect(magic === MAGIC, 'not a sparse VMDK', HEADER.magic, `0x${MAGIC.toString(16)} ("KDMV")`, magic);
  const version = field32(HEADER.version);
  expect(version >= 1 && version <= STREAM_VERSION, 'unknown VMDK version', HEADER.version, '1 to 3', version);
  const newlines = field32(HEADER.newlines);
  expect(newlines === NEWLINES, 'damaged by a transfer in text mode', HEADER.newlines, '0a 20 0d 0a', newlines);
  const flags = field32(HEADER.flags);
  const known = FLAG.newlinesValid | FLAG.redundantTables | FLAG.zeroedGrains | FLAG.compressed | FLAG.markers;
  expect((flags & ~known) === 0, 'unknown flags', HEADER.flags, `none beyond 0x${known.toString(16)}`, flags);
  const compressed = (flags & FLAG.compressed) !== 0;
  if (role === 'stream' && !(compressed && (flags & FLAG.markers) !== 0)) {
    throw unsupported(file, 'this is a sparse VMDK for use in place (monolithicSparse), not a compressed stream');
  }
  if (compressed !== ((flags & FLAG.markers) !== 0))
    throw unsupported(file, 'the grains are compressed or have markers, which go together in streams');
  const compression = header.readUInt16LE(HEADER.compression);
  if (compressed)
    expect(compression === COMPRESSION_DEFLATE, 'unknown compression', HEADER.compression, '1 (deflate)', compression);
  const capacity = header.readBigUInt64LE(HEADER.capacity);
  // A capacity of 0 makes qemu read the file as a descriptor, and open the files that it names.
  const most = MAX_CAPACITY / SECTOR;
  expect(capacity > 0n && capacity <= most, 'impossible capacity', HEADER.capacity, `1 to ${most} sectors`, capacity);
  const grain = header.readBigUInt64LE(HEADER.grainSize);
  const grainIsFine = grain >= 8n && grain <= MAX_GRAIN_SECTORS && (grain & (grain - 1n)) === 0n;
  expect(
    grainIsFine,
    'impossible grain size',
    HEADER.grainSize,
    `a power of two, 8 to ${MAX_GRAIN_SECTORS} sectors`,
    grain,
  );
  const entries = field32(HEADER.entriesPerTable);
  expect(entries === ENTRIES_PER_TABLE, 'unknown size of grain tables', HEADER.entriesPerTable, '512 entries', entries);
  return {
    capacity: Number(capacity),
    grainSectors: Number(grain),
    reserved: descriptorEnd(file, header, role),
    compressed,
  };
}

/** The sector behind the descriptor; a part of a split disk may have none. */
function descriptorEnd(file: ImageFile, header: Buffer, role: Role): number {
  const at = header.readBigUInt64LE(HEADER.descriptorOffset);
  const length = header.readBigUInt64LE(HEADER.descriptorSize);
  if (role === 'part' && at === 0n) return 1;
  if (at === 0n && role === 'whole') throw partAlone(file);
  const fits = at >= 1n && length >= 1n && length <= MAX_DESCRIPTOR / SECTOR && (at + length) * 512n <= file.size;
  if (!fits) {
    throw damaged(file, 'the descriptor is absent, too long or outside the file', {
      offset: HEADER.descriptorOffset,
      expected: `at most ${MAX_DESCRIPTOR / SECTOR} sectors inside the file`,
      found: `${at}`,
    });
  }
  return Number(at + length);
}

async function openDescriptor(
  file: ImageFile,
  header: Buffer,
  { capacity, grainSectors, compressed }: Geometry,
  role: Role,
): Promise<Descriptor> {
  const offset = Number(header.readBigUInt64LE(HEADER.descriptorOffset)) * SECTOR;
  const length = Number(header.readBigUInt64LE(HEADER.descriptorSize)) * SECTOR;
  const text = decodeDescriptor(await readAt(file, offset, length, 'the descriptor'));
  if (text.trim() === '' && role === 'whole') throw partAlone(file);
  const createType = compressed ? 'streamOptimized' : 'monolithicSparse';
  const descriptor = readDescriptor(text, { capacity, grainSectors, createType, parents: role === 'whole' });
  if (typeof descriptor === 'string') throw damaged(file, descriptor, { offset });
  return descriptor;
}

function partAlone(file: ImageFile): Error {
  return unsupported(
    file,
    'this is one part of a disk in several files',
    'name the descriptor instead: the small text file beside it, whose name has no -s001',
  );
}

/** The footer repeats the header and knows where the directory is; it and its neighbours are the end of the file. */
async function readFooter(file: ImageFile, header: Buffer): Promise<Buffer> {
  const at = file.size - TAIL_SIZE;
  const hint = 'the file is cut short, or something was appended to it';
  if (at < HEADER.size || file.size % SECTOR !== 0)
    throw damaged(file, 'the footer is missing', { offset: Math.max(at, 0), hint });
  const tail = await readAt(file, at, TAIL_SIZE, 'the footer');
  if (!isMarker(tail, MARKER_TYPE.footer, 1n))
    throw damaged(file, 'no footer marker three sectors before the end', { offset: at, hint });
  if (!isMarker(tail.subarray(2 * SECTOR), MARKER_TYPE.endOfStream, 0n))
    throw damaged(file, 'no end-of-stream marker in the last sector', { offset: at + 2 * SECTOR, hint });
  const footer = tail.subarray(SECTOR, SECTOR + HEADER.size);
  for (const [name, from, to] of SAME_IN_FOOTER) {
    if (footer.compare(header, from, to, from, to) !== 0) {
      throw damaged(file, `header and footer disagree about the ${name}`, {
        offset: at + SECTOR + from,
        expected: header.toString('hex', from, to),
        found: footer.toString('hex', from, to),
      });
    }
  }
  return footer;
}

/** Whether a sector is the marker of one kind, of something that long. */
export function isMarker(sector: Buffer, type: number, value: bigint): boolean {
  return (
    sector.readBigUInt64LE(MARKER.value) === value &&
    sector.readUInt32LE(MARKER.length) === 0 &&
    sector.readUInt32LE(MARKER.type) === type
  );
}

/** Fields which a footer must share with its header, from their first byte to behind their last. */
export const SAME_IN_FOOTER = [
  ['magic, version or flags', HEADER.magic, HEADER.capacity],
  ['capacity', HEADER.capacity, HEADER.grainSize],
  ['grain size', HEADER.grainSize, HEADER.descriptorOffset],
  ['size of grain tables', HEADER.entriesPerTable, HEADER.redundantDirectory],
  ['compression', HEADER.compression, HEADER.compression + 2],
] as const;
