import { setTimeout as delay } from 'node:timers/promises';

/** Waits, or rejects with the signal's own reason. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal, ref: true }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}
