import type { ByteSource, Extent } from './disk.js';

/** Tells which parts of a file hold data, for ranges asked about in ascending order. */
export interface Presence {
  /** The parts of a range that are not holes of the file; all of it when the range lies before one asked about earlier. */
  within(start: number, end: number): AsyncGenerator<Extent>;
  close(): Promise<void>;
}

/**
 * Goes along the extents of a file once. Blocks of an image mostly lie in the order of the disk, so this finds the holes of
 * the file, such as those of a fixed image that was written sparsely, without a list of them in memory.
 */
export function presence(file: ByteSource, signal?: AbortSignal): Presence {
  const iterator = file.extents(signal)[Symbol.asyncIterator]();
  let current: Extent | undefined;
  let exhausted = false;
  /** Everything before this has been passed. */
  let position = 0;
  const advance = async () => {
    const next = await iterator.next();
    current = next.done ? undefined : next.value;
    exhausted = next.done ?? false;
  };
  return {
    async *within(start, end) {
      if (start < position) {
        yield { offset: start, length: end - start };
        return;
      }
      position = end;
      for (;;) {
        while (!exhausted && (current === undefined || current.offset + current.length <= start)) await advance();
        if (current === undefined || current.offset >= end) return;
        const from = Math.max(start, current.offset);
        const to = Math.min(end, current.offset + current.length);
        yield { offset: from, length: to - from };
        if (current.offset + current.length >= end) return;
        await advance();
      }
    },
    close: async () => {
      await iterator.return?.();
    },
  };
}
