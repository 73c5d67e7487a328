import type { DiskSource } from './disk.js';
import { unionExtents } from './extents.js';
import { readPadded } from './file.js';

/** Bytes compared at once, from each side. */
const CHUNK = 1024 * 1024;

export interface CompareOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export type Comparison =
  | { readonly equal: true }
  /** `offset` of the first byte that differs, and what each side has there; a disk that is too short has zeros. */
  | { readonly equal: false; readonly offset: number; readonly first: number; readonly second: number };

/**
 * Whether two disks have the same guest-visible content. One may be longer if its surplus is zero. Only what either
 * side says may hold data is read.
 */
export async function compareDisks(
  first: DiskSource,
  second: DiskSource,
  { signal, onProgress }: CompareOptions,
): Promise<Comparison> {
  const total = Math.max(first.size, second.size);
  const a = new Uint8Array(CHUNK);
  const b = new Uint8Array(CHUNK);
  for await (const extent of unionExtents(first.extents(signal), second.extents(signal))) {
    for (let at = extent.offset; at < extent.offset + extent.length; at += CHUNK) {
      signal.throwIfAborted();
      const length = Math.min(CHUNK, extent.offset + extent.length - at);
      await Promise.all([readPadded(first, a.subarray(0, length), at), readPadded(second, b.subarray(0, length), at)]);
      if (Buffer.compare(a.subarray(0, length), b.subarray(0, length)) !== 0) {
        const position = a.findIndex((byte, index) => byte !== b[index]);
        return { equal: false, offset: at + position, first: a[position] ?? 0, second: b[position] ?? 0 };
      }
      onProgress?.(at + length, total);
    }
  }
  onProgress?.(total, total);
  return { equal: true };
}
