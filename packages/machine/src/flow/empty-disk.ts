import type { DiskSource } from '@polyvisor/core';

/** A disk of zeros, which costs nothing in formats that keep holes. */
export function emptyDisk(size: number): DiskSource {
  return {
    size,
    // eslint-disable-next-line require-yield
    async *extents() {
      await Promise.resolve();
    },
    read: async (into) => {
      await Promise.resolve();
      into.fill(0);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
