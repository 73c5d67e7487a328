import type { DiskSource } from '@polyvisor/core';
import type { Session } from './session.js';

/** Bytes read at once. */
const CHUNK = 1024 * 1024;

/** Reads all that a disk holds, for the errors that this may bring up. `total` is what its extents add up to. */
export async function readData(
  disk: DiskSource,
  total: number,
  stage: string,
  { signal, emit }: Session,
): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  let done = 0;
  for await (const { offset, length } of disk.extents(signal)) {
    for (let at = 0; at < length; at += CHUNK) {
      signal.throwIfAborted();
      const part = buffer.subarray(0, Math.min(CHUNK, length - at));
      await disk.read(part, offset + at);
      done += part.length;
      emit({ type: 'progress', stage, done, total, unit: 'bytes' });
    }
  }
}
