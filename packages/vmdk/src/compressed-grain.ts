import { promisify } from 'node:util';
import { inflate, type ZlibOptions } from 'node:zlib';
import type { ImageFile } from '@polyvisor/core';
import type { SparseHeader } from './header-reader.js';
import { GRAIN_ZERO, MARKER, SECTOR } from './layout.js';
import { damaged, readAt } from './refusal.js';

const inflateAsync = promisify<Uint8Array, ZlibOptions, Buffer>(inflate);

export interface GrainPlace {
  /** Number of the grain on the disk. */
  readonly grain: number;
  readonly table: Uint32Array;
  /** The grain's entry in its table. */
  readonly index: number;
  readonly header: Pick<SparseHeader, 'capacity' | 'grainSectors' | 'reserved'>;
}

/** Decompresses one grain of a stream; its marker must say that it is this very grain. Memory: twice the grain. */
export async function readCompressedGrain(
  file: ImageFile,
  { grain, table, index, header: { capacity, grainSectors, reserved } }: GrainPlace,
): Promise<Uint8Array> {
  const grainSize = grainSectors * SECTOR;
  const sector = table[index] ?? 0;
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
  const wanted = Math.min(grainSize, capacity * SECTOR - grain * grainSize);
  if (plain.length < wanted) {
    throw damaged(file, `grain ${grain} is too short`, {
      offset,
      expected: `${wanted} bytes`,
      found: `${plain.length}`,
    });
  }
  return plain;
}

/** Sectors from a grain to the next one of its table in the file; infinite where the next lies before it or is not there. */
function distanceToNext(table: Uint32Array, index: number): number {
  const sector = table[index] ?? 0;
  const next = table.find((entry, other) => other > index && entry > GRAIN_ZERO) ?? 0;
  return next > sector ? next - sector : Number.POSITIVE_INFINITY;
}
