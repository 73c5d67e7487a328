import { promisify } from 'node:util';
import { inflate, type ZlibOptions } from 'node:zlib';
import type { DiskSource, Extent, ImageFile, OpenImage } from '@polyvisor/core';
import { readHeader, type StreamHeader } from './header-reader.js';
import { ENTRIES_PER_TABLE, GRAIN_ZERO, MARKER, SECTOR } from './layout.js';
import { damaged, readAt } from './refusal.js';
import { readDirectory, tableCache } from './table-reader.js';

const inflateAsync = promisify<Uint8Array, ZlibOptions, Buffer>(inflate);

/** Grains decompressed at the same time by one `read`. */
const PARALLEL = 16;

/**
 * Opens a stream-optimized VMDK: ovftool's layout (directory behind the data, found through the footer), open-vmdk's
 * and qemu-img's (directory in front). Memory: the grain directory (4 bytes per 32 MiB of disk), 128 KiB of grain tables,
 * and 16 grains per read under way. Every number is checked against the file before it is used; no name inside
 * the file is followed.
 */
export async function openStream(file: ImageFile): Promise<OpenImage> {
  const header = await readHeader(file);
  const { adapterType, hardwareVersion, contentId } = header.descriptor;
  return {
    disk: streamDisk(file, header, await readDirectory(file, header)),
    facts: {
      'VMDK type': 'streamOptimized',
      'VMDK version': header.version,
      'grain size': header.grainSectors * SECTOR,
      'grain directory': header.directoryInFooter ? 'behind the data' : 'in front of the data',
      ...(adapterType === undefined ? {} : { 'VMDK adapter': adapterType }),
      ...(hardwareVersion === undefined ? {} : { 'VMDK hardware version': hardwareVersion }),
      'VMDK content id': contentId,
    },
  };
}

function streamDisk(
  file: ImageFile,
  { capacity, grainSectors, reserved }: StreamHeader,
  directory: Uint32Array,
): DiskSource {
  const size = capacity * SECTOR;
  const grainSize = grainSectors * SECTOR;
  const tables = tableCache(file, directory);

  /** Decompresses one grain: its bytes on the disk, or undefined when it reads as zeros. */
  const readGrain = async (grain: number): Promise<Uint8Array | undefined> => {
    const table = await tables(Math.floor(grain / ENTRIES_PER_TABLE));
    const index = grain % ENTRIES_PER_TABLE;
    const sector = table?.[index] ?? 0;
    if (table === undefined || sector <= GRAIN_ZERO) return undefined;
    const offset = sector * SECTOR;
    if (sector < reserved || offset + MARKER.grainHeaderSize > file.size) {
      throw damaged(file, `grain ${grain} lies outside the file or over the descriptor`, {
        offset,
        found: `a file of ${file.size} bytes`,
      });
    }
    const most = Math.min(MARKER.grainHeaderSize + 2 * grainSize, file.size - offset);
    // Grains usually follow each other, so the next one tells how much to read at once.
    let bytes = await readAt(file, offset, Math.min(most, distanceToNext(table, index) * SECTOR), 'a grain');
    const position = bytes.readBigUInt64LE(MARKER.value);
    const length = bytes.readUInt32LE(MARKER.length);
    if (position !== BigInt(grain * grainSectors)) {
      throw damaged(file, 'the marker of a grain belongs to another one', {
        offset,
        expected: `sector ${grain * grainSectors}`,
        found: `${position}`,
      });
    }
    const end = MARKER.grainHeaderSize + length;
    if (length === 0 || end > most) {
      throw damaged(file, 'a grain has an impossible length', {
        offset: offset + MARKER.length,
        expected: `1 to ${most - MARKER.grainHeaderSize} bytes`,
        found: `${length}`,
      });
    }
    if (end > bytes.length) bytes = await readAt(file, offset, end, 'a grain');
    const plain = await inflateAsync(bytes.subarray(MARKER.grainHeaderSize, end), {
      maxOutputLength: grainSize,
      chunkSize: grainSize,
    }).catch((cause: unknown) => {
      throw damaged(file, `grain ${grain} cannot be decompressed`, {
        offset,
        cause,
        expected: `a zlib stream of ${grainSize} bytes`,
        found: (cause as Error).message,
      });
    });
    // Some writers cut the last grain of a disk short.
    const wanted = Math.min(grainSize, size - grain * grainSize);
    if (plain.length < wanted) {
      throw damaged(file, `grain ${grain} is too short`, {
        offset,
        expected: `${wanted} bytes`,
        found: `${plain.length}`,
      });
    }
    return plain;
  };

  return {
    size,
    async *extents(signal): AsyncGenerator<Extent> {
      for (let index = 0; index < directory.length; index++) {
        signal?.throwIfAborted();
        const table = await tables(index);
        if (table !== undefined) yield* runsOf(table, index * ENTRIES_PER_TABLE, grainSize, size);
      }
    },
    read: async (into, offset) => {
      if (offset < 0 || offset + into.length > size)
        throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${size}`);
      const copyGrain = async (grain: number) => {
        const start = Math.max(offset, grain * grainSize);
        const end = Math.min(offset + into.length, (grain + 1) * grainSize);
        const plain = await readGrain(grain);
        if (plain === undefined) into.fill(0, start - offset, end - offset);
        else into.set(plain.subarray(start - grain * grainSize, end - grain * grainSize), start - offset);
      };
      const last = Math.ceil((offset + into.length) / grainSize);
      for (let grain = Math.floor(offset / grainSize); grain < last; grain += PARALLEL) {
        const count = Math.min(PARALLEL, last - grain);
        await Promise.all(Array.from({ length: count }, (_, index) => copyGrain(grain + index)));
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Sectors from a grain to the next one of its table in the file; infinite where the next lies before it or is not there. */
function distanceToNext(table: Uint32Array, index: number): number {
  const sector = table[index] ?? 0;
  const next = table.find((entry, other) => other > index && entry > GRAIN_ZERO) ?? 0;
  return next > sector ? next - sector : Number.POSITIVE_INFINITY;
}

/** The grains that a table says are stored, neighbours joined, as extents of the disk. */
function* runsOf(table: Uint32Array, firstGrain: number, grainSize: number, size: number): Generator<Extent> {
  let start = -1;
  for (let index = 0; index <= table.length; index++) {
    const stored = (table[index] ?? 0) > GRAIN_ZERO && (firstGrain + index) * grainSize < size;
    if (stored === start >= 0) continue;
    if (stored) {
      start = index;
      continue;
    }
    const offset = (firstGrain + start) * grainSize;
    yield { offset, length: Math.min((firstGrain + index) * grainSize, size) - offset };
    start = -1;
  }
}
