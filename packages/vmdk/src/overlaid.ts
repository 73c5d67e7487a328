import type { ImageFile, Patch } from '@polyvisor/core';

/** The file as it will be with patches applied, in memory; none of them makes it longer. Borrows the file. */
export function overlaid(file: ImageFile, patches: readonly Patch[]): ImageFile {
  return {
    ...file,
    read: async (into, offset) => {
      await file.read(into, offset);
      for (const { offset: at, bytes } of patches) {
        const start = Math.max(at, offset);
        const end = Math.min(at + bytes.length, offset + into.length);
        if (start < end) into.set(bytes.subarray(start - at, end - at), start - offset);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
