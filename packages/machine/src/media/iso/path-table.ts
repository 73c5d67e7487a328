import type { Place } from './directory-bytes.js';
import type { IsoTree } from './iso-tree.js';

/** The path table of a hierarchy (ECMA-119 §9.4), in one of the two byte orders. */
export function pathTable(tree: IsoTree, place: (number: number) => Place, order: 'little' | 'big'): Buffer {
  return Buffer.concat(
    tree.map(({ identifier: own, parent }, number) => {
      const identifier = own.length === 0 ? Buffer.of(0) : own;
      const bytes = Buffer.alloc(8 + identifier.length + (identifier.length % 2));
      bytes[0] = identifier.length;
      const { sector } = place(number);
      if (order === 'little') {
        bytes.writeUInt32LE(sector, 2);
        bytes.writeUInt16LE(parent + 1, 6);
      } else {
        bytes.writeUInt32BE(sector, 2);
        bytes.writeUInt16BE(parent + 1, 6);
      }
      identifier.copy(bytes, 8);
      return bytes;
    }),
  );
}
