import type { Key } from '@polyvisor/core';
import { scancodesOf } from '@polyvisor/machine';

/**
 * Keys of one command: few enough for the queue of the keyboard's controller, of which VirtualBox does not say that it is full,
 * and for the fifteen that a BIOS keeps for a guest that is busy.
 */
const BATCH = 4;

/** Between two batches, in milliseconds: what a guest takes that looks at its keyboard 18 times a second. */
const PAUSE = 60;

/** One command's worth of keys: hexadecimal scan codes, and how long to wait after them. */
export interface Batch {
  readonly codes: readonly string[];
  readonly pause: number;
}

/** In order. With an interval, in milliseconds, each key goes alone. */
export function batchesOf(keys: readonly Key[], interval?: number): readonly Batch[] {
  const size = interval === undefined ? BATCH : 1;
  const batches: Batch[] = [];
  for (let start = 0; start < keys.length; start += size) {
    const codes = keys.slice(start, start + size).flatMap((key) => scancodesOf(key));
    batches.push({ codes: codes.map((code) => code.toString(16).padStart(2, '0')), pause: interval ?? PAUSE });
  }
  // Some keys send nothing when they go up, and a command without codes is none.
  return batches.filter(({ codes }) => codes.length > 0);
}
