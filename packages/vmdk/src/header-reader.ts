import type { ImageFile } from '@polyvisor/core';
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
  NEWLINES,
  SECTOR,
  SESPARSE_MAGIC,
  STREAM_VERSION,
  TAIL_SIZE,
} from './layout.js';
import { damaged, readAt, unsupported } from './refusal.js';

/** Largest grain accepted, in sectors (1 MiB); everybody writes 128. Bounds the memory of a read. */
const MAX_GRAIN_SECTORS = 2048;

/** Largest descriptor accepted, in bytes; everybody reserves 10 KiB. */
const MAX_DESCRIPTOR = 64 * 1024;

/** What header, descriptor and footer say, checked against each other and the file. */
export interface StreamHeader {
  /** In sectors, all three. */
  readonly capacity: number;
  readonly grainSectors: number;
  /** End of the header and the descriptor: nothing else may lie before this. */
  readonly reserved: number;
  readonly version: number;
  readonly descriptor: Descriptor;
  /** The directory's first sector, not yet checked. */
  readonly directory: bigint;
  readonly directoryInFooter: boolean;
}

/** Reads and checks everything about a stream but its grain directory. */
export async function readHeader(file: ImageFile): Promise<StreamHeader> {
  const header = await readAt(file, 0, HEADER.size, 'the header');
  const geometry = checkHeader(file, header);
  const descriptor = await openDescriptor(file, header, geometry);
  const capacity = descriptor.sectors;
  const directoryInFooter = header.readBigUInt64LE(HEADER.directory) === DIRECTORY_IN_FOOTER;
  const directory = (directoryInFooter ? await readFooter(file, header) : header).readBigUInt64LE(HEADER.directory);
  return {
    ...geometry,
    capacity,
    version: header.readUInt32LE(HEADER.version),
    descriptor,
    directory,
    directoryInFooter,
  };
}

function checkHeader(file: ImageFile, header: Buffer): Pick<StreamHeader, 'capacity' | 'grainSectors' | 'reserved'> {
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
  if ((flags & FLAG.compressed) === 0 || (flags & FLAG.markers) === 0) {
    throw unsupported(file, 'this is a sparse VMDK for use in place (monolithicSparse), not a compressed stream');
  }
  const compression = header.readUInt16LE(HEADER.compression);
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
  const at = header.readBigUInt64LE(HEADER.descriptorOffset);
  const length = header.readBigUInt64LE(HEADER.descriptorSize);
  const fits = at >= 1n && length >= 1n && length <= MAX_DESCRIPTOR / SECTOR && (at + length) * 512n <= file.size;
  expect(
    fits,
    'the descriptor is absent, too long or outside the file',
    HEADER.descriptorOffset,
    `at most ${MAX_DESCRIPTOR / SECTOR} sectors inside the file`,
    at,
  );
  return { capacity: Number(capacity), grainSectors: Number(grain), reserved: Number(at + length) };
}

async function openDescriptor(
  file: ImageFile,
  header: Buffer,
  { capacity, grainSectors }: Pick<StreamHeader, 'capacity' | 'grainSectors'>,
): Promise<Descriptor> {
  const offset = Number(header.readBigUInt64LE(HEADER.descriptorOffset)) * SECTOR;
  const length = Number(header.readBigUInt64LE(HEADER.descriptorSize)) * SECTOR;
  const bytes = await readAt(file, offset, length, 'the descriptor');
  const end = bytes.indexOf(0);
  const descriptor = readDescriptor(bytes.toString('utf8', 0, end < 0 ? length : end), capacity, grainSectors);
  if (typeof descriptor === 'string') throw damaged(file, descriptor, { offset });
  return descriptor;
}

/** The footer repeats the header and knows where the directory is; it and its neighbours are the end of the file. */
async function readFooter(file: ImageFile, header: Buffer): Promise<Buffer> {
  const at = file.size - TAIL_SIZE;
  const hint = 'the file is cut short, or something was appended to it';
  if (at < HEADER.size || file.size % SECTOR !== 0)
    throw damaged(file, 'the footer is missing', { offset: Math.max(at, 0), hint });
  const tail = await readAt(file, at, TAIL_SIZE, 'the footer');
  const markerIsFine =
    tail.readBigUInt64LE(MARKER.value) === 1n &&
    tail.readUInt32LE(MARKER.length) === 0 &&
    tail.readUInt32LE(MARKER.type) === MARKER_TYPE.footer;
  if (!markerIsFine) throw damaged(file, 'no footer marker three sectors before the end', { offset: at, hint });
  const end = tail.subarray(2 * SECTOR);
  if (
    end.readBigUInt64LE(MARKER.value) !== 0n ||
    end.readUInt32LE(MARKER.length) !== 0 ||
    end.readUInt32LE(MARKER.type) !== MARKER_TYPE.endOfStream
  ) {
    throw damaged(file, 'no end-of-stream marker in the last sector', { offset: at + 2 * SECTOR, hint });
  }
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

/** Fields which a footer must share with its header, from their first byte to behind their last. */
const SAME_IN_FOOTER = [
  ['magic, version or flags', HEADER.magic, HEADER.capacity],
  ['capacity', HEADER.capacity, HEADER.grainSize],
  ['grain size', HEADER.grainSize, HEADER.descriptorOffset],
  ['size of grain tables', HEADER.entriesPerTable, HEADER.redundantDirectory],
  ['compression', HEADER.compression, HEADER.compression + 2],
] as const;
