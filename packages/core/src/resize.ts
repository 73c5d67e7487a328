import { isZero } from './bytes.js';
import type { DiskSource } from './disk.js';
import { DefinitionError } from './errors.js';
import { clipExtents } from './extents.js';
import { readPadded } from './file.js';

/** Bytes looked at at once. */
const CHUNK = 1024 * 1024;

/**
 * A disk of another size: longer by zeros, or shorter where what is cut off is all zero. Borrows the disk. Rejects with the
 * place of the first byte that would be lost.
 */
export async function resizedDisk(disk: DiskSource, size: number, signal: AbortSignal): Promise<DiskSource> {
  if (size < disk.size) await refuseLoss(disk, size, signal);
  return {
    size,
    extents: (stop) => clipExtents(disk.extents(stop), size),
    read: (into, offset) => readPadded(disk, into, offset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function refuseLoss(disk: DiskSource, size: number, signal: AbortSignal): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  for await (const { offset, length } of disk.extents(signal)) {
    for (let at = Math.max(offset, size); at < offset + length; at += CHUNK) {
      signal.throwIfAborted();
      const part = buffer.subarray(0, Math.min(CHUNK, offset + length - at));
      await disk.read(part, at);
      if (isZero(part)) continue;
      const place = at + part.findIndex((byte) => byte !== 0);
      throw new DefinitionError(
        'resize-loses-data',
        `the disk cannot be cut from ${disk.size} to ${size} bytes: there is data at offset ${place}`,
        { hint: 'shrink what is on the disk first; a GPT has its second copy at the very end (`sgdisk` can move it)' },
      );
    }
  }
}
