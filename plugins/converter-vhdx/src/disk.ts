import { clipExtents, type DiskSource, type Extent, presence, readPadded, unionExtents } from '@polyvisor/core';
import type { Bat } from './bat.js';
import { PAYLOAD } from './layout.js';

/** The disk of an image, over the one of its parent if it has one. Borrows both. */
export function vhdxDisk(bat: Bat, parent: DiskSource | undefined): DiskSource {
  const { size } = bat.disk;
  return {
    size,
    extents: (signal) => {
      const own = ownExtents(bat, signal);
      return parent === undefined ? own : unionExtents(own, clipExtents(parent.extents(signal), size));
    },
    read: async (into, offset) => {
      if (offset < 0 || offset + into.length > size) {
        throw new RangeError(`cannot read ${into.length} bytes at offset ${offset} of a disk of ${size} bytes`);
      }
      const { blockSize } = bat.disk;
      const reads: Promise<void>[] = [];
      for (let done = 0; done < into.length;) {
        const within = (offset + done) % blockSize;
        const length = Math.min(blockSize - within, into.length - done);
        reads.push(readInBlock(bat, parent, into.subarray(done, done + length), offset + done));
        done += length;
      }
      await Promise.all(reads);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** `into` lies within one payload block. */
async function readInBlock(bat: Bat, parent: DiskSource | undefined, into: Uint8Array, offset: number): Promise<void> {
  const { blockSize } = bat.disk;
  const block = Math.floor(offset / blockSize);
  const entry = await bat.payload(block);
  const place = entry.offset + (offset % blockSize);
  if (entry.state === PAYLOAD.fullyPresent) await bat.file.read(into, place);
  else if (entry.state === PAYLOAD.partiallyPresent && parent !== undefined)
    await readPartial(bat, parent, { into, offset, place });
  else if (entry.state === PAYLOAD.notPresent && parent !== undefined) await readPadded(parent, into, offset);
  else into.fill(0);
}

interface PartialRead {
  readonly into: Uint8Array;
  /** On the disk, and in the file. */
  readonly offset: number;
  readonly place: number;
}

/** Takes each sector from where the bitmap says: a bit that is set means this image, one that is not its parent. */
async function readPartial(bat: Bat, parent: DiskSource, { into, offset, place }: PartialRead): Promise<void> {
  const { blockSize, logicalSector } = bat.disk;
  const bitmap = await bat.bitmap(Math.floor(offset / blockSize));
  const first = Math.floor(offset / logicalSector);
  const last = Math.floor((offset + into.length - 1) / logicalSector);
  // Sectors count from the start of the chunk, the lowest bit of each byte first.
  const chunkStart = first - (first % (bat.chunkRatio * (blockSize / logicalSector)));
  const bits = Buffer.alloc(((last - chunkStart) >> 3) - ((first - chunkStart) >> 3) + 1);
  await bat.file.read(bits, bitmap.offset + ((first - chunkStart) >> 3));
  const isOwn = (sector: number) => {
    const bit = sector - chunkStart;
    return ((bits[(bit >> 3) - ((first - chunkStart) >> 3)] ?? 0) & (1 << (bit & 7))) !== 0;
  };
  const reads: Promise<void>[] = [];
  for (let sector = first; sector <= last;) {
    const start = sector;
    const own = isOwn(sector);
    while (sector <= last && isOwn(sector) === own) sector++;
    const from = Math.max(offset, start * logicalSector);
    const to = Math.min(offset + into.length, sector * logicalSector);
    const part = into.subarray(from - offset, to - offset);
    reads.push(own ? bat.file.read(part, place + from - offset) : readPadded(parent, part, from));
  }
  await Promise.all(reads);
}

/** The stored payload blocks, without the holes that the file has inside of them. */
async function* ownExtents(bat: Bat, signal?: AbortSignal): AsyncGenerator<Extent> {
  const holes = presence(bat.file, signal);
  try {
    for await (const blocks of bat.storedBlocks(signal)) {
      for (const { block, offset: place } of blocks) {
        const guest = block * bat.disk.blockSize;
        for await (const { offset, length } of holes.within(place, place + bat.needed(block)))
          yield { offset: guest + offset - place, length };
      }
    }
  } finally {
    await holes.close();
  }
}
