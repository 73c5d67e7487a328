import type { DiskSink } from '@polyvisor/core';

const PIECE = 256 * 1024;
const AT_ONCE = 4;
const ZEROS = new Uint8Array(PIECE);

/** Waits until all have settled, so that lent memory is free again even when one fails; then rejects with the first failure. */
export async function settleAll(writes: readonly Promise<void>[]): Promise<void> {
  const failure = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

/** Really writes zeros, where an unwritten range would become a hole of the file. */
export async function writeZeros(sink: DiskSink, from: number, to: number, signal: AbortSignal): Promise<void> {
  let batch: Promise<void>[] = [];
  for (let at = from; at < to; at += PIECE) {
    batch.push(sink.write(ZEROS.subarray(0, Math.min(PIECE, to - at)), at));
    if (batch.length < AT_ONCE) continue;
    await settleAll(batch);
    batch = [];
    signal.throwIfAborted();
  }
  await settleAll(batch);
}
