import type { ImageFile } from '@polyvisor/core';
import type { Layer } from './layer.js';

/** A stretch of a plain file, all of which is stored. Borrows the file. */
export function flatLayer(file: ImageFile, start: number, size: number): Layer {
  return {
    size,
    async *extents(signal) {
      for await (const { offset, length } of file.extents(signal)) {
        if (offset >= start + size) return;
        const from = Math.max(offset, start);
        const end = Math.min(offset + length, start + size);
        if (from < end) yield { offset: from - start, length: end - from };
      }
    },
    read: (into, offset) => file.read(into, start + offset),
  };
}

/** Zeros by decree: nothing is stored, and nothing shines through. */
export function zeroLayer(size: number): Layer {
  return {
    size,
    async *extents() {
      // nothing
    },
    read: (into) => {
      into.fill(0);
      return Promise.resolve();
    },
  };
}
