import {
  clipExtents,
  type DiskSource,
  type Extent,
  type ImageFile,
  presence,
  readPadded,
  unionExtents,
} from '@polyvisor/core';
import type { Header } from './header.js';
import { BLOCK_FREE, BLOCK_ZERO } from './layout.js';
import { type BlockMap, blockMap, PAGE_ENTRIES } from './map.js';

/** Reads of the file under way for one read of the disk. */
const PARALLEL = 16;

/** A run of the disk and where its bytes are: at a place of the file, in the parent, or nowhere, which is zeros. */
interface Piece {
  readonly offset: number;
  length: number;
  readonly from: number | 'parent' | 'zero';
}

/** The disk of an image whose map is sound, over that of its parent if there is one. Borrows both. */
export function vdiDisk(file: ImageFile, header: Header, parent?: DiskSource): DiskSource {
  const { diskSize: size, fields, blocks } = header;
  const map = blockMap(file, fields.mapOffset, blocks);
  const readPiece = async (into: Uint8Array, { offset, length, from }: Piece, base: number) => {
    const part = into.subarray(offset - base, offset - base + length);
    if (from === 'zero' || (from === 'parent' && parent === undefined)) part.fill(0);
    else if (from === 'parent') await readPadded(parent as DiskSource, part, offset);
    else await file.read(part, from);
  };
  return {
    size,
    extents: (signal) => {
      const own = ownExtents(file, header, map, signal);
      return parent === undefined ? own : unionExtents(own, clipExtents(parent.extents(signal), size));
    },
    read: async (into, offset) => {
      if (offset < 0 || offset + into.length > size)
        throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${size}`);
      const batch: Promise<void>[] = [];
      for await (const piece of pieces(header, map, offset, into.length)) {
        batch.push(readPiece(into, piece, offset));
        if (batch.length < PARALLEL) continue;
        await Promise.all(batch.splice(0));
      }
      await Promise.all(batch);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Cuts a range of the disk at its blocks, and joins those that are neighbours in the file as well. */
async function* pieces(header: Header, map: BlockMap, offset: number, length: number): AsyncGenerator<Piece> {
  const { blockSize, stride, dataStart } = header;
  let current: Piece | undefined;
  for (let at = offset; at < offset + length;) {
    const block = Math.floor(at / blockSize);
    const end = Math.min(offset + length, (block + 1) * blockSize);
    const entry = (await map.page(Math.floor(block / PAGE_ENTRIES)))[block % PAGE_ENTRIES] ?? BLOCK_FREE;
    const from =
      entry === BLOCK_FREE ? 'parent' : entry === BLOCK_ZERO ? 'zero' : dataStart + entry * stride + (at % blockSize);
    if (current !== undefined && from === follower(current)) {
      current.length += end - at;
    } else {
      if (current !== undefined) yield current;
      current = { offset: at, length: end - at, from };
    }
    at = end;
  }
  if (current !== undefined) yield current;
}

/** Where the byte behind a piece would be, if it belonged to it. */
function follower({ from, length }: Piece): Piece['from'] {
  return typeof from === 'number' ? from + length : from;
}

/** The blocks that are stored, without what is a hole of the file. */
async function* ownExtents(
  file: ImageFile,
  { blockSize, stride, dataStart, blocks, diskSize }: Header,
  map: BlockMap,
  signal?: AbortSignal,
): AsyncGenerator<Extent> {
  const holes = presence(file, signal);
  let current: { offset: number; length: number } | undefined;
  try {
    for (let first = 0; first < blocks; first += PAGE_ENTRIES) {
      signal?.throwIfAborted();
      for (const [index, entry] of (await map.page(first / PAGE_ENTRIES)).entries()) {
        if (entry >= BLOCK_ZERO) continue;
        const guest = (first + index) * blockSize;
        const place = dataStart + entry * stride;
        const length = Math.min(blockSize, diskSize - guest);
        for await (const part of holes.within(place, place + length)) {
          const offset = guest + part.offset - place;
          if (current !== undefined && current.offset + current.length === offset) {
            current.length += part.length;
          } else {
            if (current !== undefined) yield current;
            current = { offset, length: part.length };
          }
        }
      }
    }
    if (current !== undefined) yield current;
  } finally {
    await holes.close();
  }
}
