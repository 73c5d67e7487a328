import { type DiskSource, type Extent, type ImageFile, presence, readPadded } from '@polyvisor/core';
import { NOT_ALLOCATED, SECTOR, bitmapSectors } from './layout.js';
import { readAt } from './read-at.js';

/** A dynamic disk whose table has been checked. */
export interface BlockMap {
  readonly file: ImageFile;
  /** Of the virtual disk, in bytes. */
  readonly size: number;
  readonly blockSize: number;
  /** See `readBlockTable`. */
  readonly table: Buffer;
  /** blktap 0.1 wrote bitmaps with the least significant bit first. */
  readonly leastFirst: boolean;
  /** Where to look for what is not stored, or absent by its block's bitmap; without it, that is zero. */
  readonly parent: DiskSource | undefined;
}

/** Fills `into` from the disk. */
export async function readDynamic(map: BlockMap, into: Uint8Array, offset: number): Promise<void> {
  const reads: Promise<void>[] = [];
  for (let done = 0; done < into.length;) {
    const within = (offset + done) % map.blockSize;
    const length = Math.min(map.blockSize - within, into.length - done);
    reads.push(readInBlock(map, into.subarray(done, done + length), (offset + done - within) / map.blockSize, within));
    done += length;
  }
  await Promise.all(reads);
}

async function readInBlock(map: BlockMap, into: Uint8Array, index: number, within: number): Promise<void> {
  const start = blockStart(map, index);
  const offset = index * map.blockSize + within;
  if (start === undefined) {
    await readBelow(map, into, offset);
    return;
  }
  // Only the bytes of the bitmap that are about these sectors.
  const firstByte = Math.floor(within / SECTOR) >> 3;
  const lastByte = Math.floor((within + into.length - 1) / SECTOR) >> 3;
  const [bitmap] = await Promise.all([
    readAt(map.file, start + firstByte, lastByte - firstByte + 1),
    map.file.read(into, start + bitmapSectors(map.blockSize) * SECTOR + within),
  ]);
  const present = (sector: number) =>
    ((bitmap[(sector >> 3) - firstByte] ?? 0) & (map.leastFirst ? 1 << (sector & 7) : 0x80 >> (sector & 7))) !== 0;
  const end = Math.ceil((within + into.length) / SECTOR);
  for (let sector = Math.floor(within / SECTOR); sector < end; sector++) {
    if (present(sector)) continue;
    const first = sector;
    while (sector + 1 < end && !present(sector + 1)) sector++;
    const from = Math.max(0, first * SECTOR - within);
    await readBelow(map, into.subarray(from, (sector + 1) * SECTOR - within), offset + from);
  }
}

/** Fills `into` with what the disk has where its own file has nothing. A parent that is shorter has zeros beyond. */
async function readBelow({ parent }: BlockMap, into: Uint8Array, offset: number): Promise<void> {
  if (parent === undefined) into.fill(0);
  else await readPadded(parent, into, offset);
}

/** The stored blocks, without the holes that the file has inside of them. */
export async function* dynamicExtents(map: BlockMap, signal?: AbortSignal): AsyncGenerator<Extent> {
  const bitmapLength = bitmapSectors(map.blockSize) * SECTOR;
  const holes = presence(map.file, signal);
  try {
    for (let index = 0; index * map.blockSize < map.size; index++) {
      const start = blockStart(map, index);
      if (start === undefined) continue;
      const guest = index * map.blockSize;
      const data = start + bitmapLength;
      for await (const { offset, length } of holes.within(data, data + Math.min(map.blockSize, map.size - guest)))
        yield { offset: guest + offset - data, length };
    }
  } finally {
    await holes.close();
  }
}

/** Offset of a block's bitmap in the file, in bytes; undefined when the block is not stored. */
function blockStart(map: BlockMap, index: number): number | undefined {
  const sector = map.table.readUInt32BE(index * 4);
  return sector === NOT_ALLOCATED ? undefined : sector * SECTOR;
}
