import type { DiskSink } from '@polyvisor/core';

/** Bytes of one write. Large enough for the device, small enough that a block is several writes under way at once. */
export const PIECE = 256 * 1024;

const ZEROS = new Uint8Array(PIECE);

/** Splits `length` bytes at `offset` into pieces of at most `PIECE`. */
export function* pieces(offset: number, length: number): Generator<{ offset: number; length: number }> {
  for (let done = 0; done < length; done += PIECE) {
    yield { offset: offset + done, length: Math.min(PIECE, length - done) };
  }
}

/** Waits until all have settled, so that lent memory is free again even when one fails; then rejects with the first failure. */
export async function settleAll(writes: readonly Promise<void>[]): Promise<void> {
  const failure = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

/** Really writes zeros, where an unwritten range would become a hole of the file. */
export async function writeZeros(sink: DiskSink, from: number, to: number, signal: AbortSignal): Promise<void> {
  const AT_ONCE = 4;
  const batch: Promise<void>[] = [];
  for (const { offset, length } of pieces(from, Math.max(0, to - from))) {
    batch.push(sink.write(ZEROS.subarray(0, length), offset));
    if (batch.length === AT_ONCE) {
      await settleAll(batch.splice(0));
      signal.throwIfAborted();
    }
  }
  await settleAll(batch);
}
