import type { DiskSource } from '@polyvisor/core';

/** How much of a disk may hold data, part by part. */
export interface Allocation {
  /** Bytes in the extents of the disk. */
  readonly allocated: number;
  /** Bytes of the disk that one part stands for; the last one may be shorter. */
  readonly partSize: number;
  /** Bytes that may hold data in each part. */
  readonly parts: Float64Array;
}

/**
 * Gathers a disk's extents into at most `count` parts of equal size, a multiple of 512, as they come: memory does not depend on
 * their number, nor does work beyond looking at each once.
 */
export async function readAllocation(disk: DiskSource, count: number, signal: AbortSignal): Promise<Allocation> {
  const partSize = Math.max(1, Math.ceil(disk.size / count / 512)) * 512;
  const parts = new Float64Array(Math.ceil(disk.size / partSize));
  let allocated = 0;
  let seen = 0;
  for await (const { offset, length } of disk.extents(signal)) {
    allocated += length;
    const end = Math.min(offset + length, disk.size);
    for (let at = offset; at < end;) {
      const part = Math.floor(at / partSize);
      const stop = Math.min(end, (part + 1) * partSize);
      parts[part] = (parts[part] ?? 0) + stop - at;
      at = stop;
    }
    // A generator that never waits for anything would keep a signal from being heard.
    if (++seen % 4096 === 0) {
      await new Promise(setImmediate);
      signal.throwIfAborted();
    }
  }
  return { allocated, partSize, parts };
}
