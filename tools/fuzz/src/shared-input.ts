import { MAX_INPUT } from './mutate.js';

/**
 * The input that a worker is busy with, in memory that it shares with the main thread: when the worker hangs or dies, the
 * input is still there.
 */
export interface SharedInput {
  readonly memory: SharedArrayBuffer;
  /** Called by the worker before each run. */
  set(bytes: Uint8Array): void;
  get(): Uint8Array;
  /** Runs begun so far; unchanged for long means that one hangs. */
  runs(): number;
}

/** Two 32-bit words before the input: runs begun, and the input's length in bytes. */
const HEADER = 8;

export function sharedInput(memory = new SharedArrayBuffer(HEADER + MAX_INPUT)): SharedInput {
  const words = new Int32Array(memory, 0, 2);
  const input = new Uint8Array(memory, HEADER);
  return {
    memory,
    set: (bytes) => {
      input.set(bytes);
      Atomics.store(words, 1, bytes.length);
      Atomics.add(words, 0, 1);
    },
    get: () => input.slice(0, Atomics.load(words, 1)),
    runs: () => Atomics.load(words, 0),
  };
}
