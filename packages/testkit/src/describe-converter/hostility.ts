import { BLOCK_SIZE, compareDisks, type DiskConverter, type ImageFile } from '@polyvisor/core';
import { beforeAll, expect, it } from 'vitest';
import { memoryDisk, noise, texture } from '../memory.js';
import { checksOrRefuses, formatErrorOrDone, repairsOrRefuses } from './check.js';
import { type Depth, type OptionSet } from './suite.js';
import { never, type Parts, partsOf, write } from './write.js';

const SECTOR = 512;

/** Cuts tried of a file: at every sector, where there are not more than these; of a larger one the same number, most at its ends. */
const MOST_CUTS: Readonly<Record<Depth, number>> = { all: 2048, some: 48 };
const FLIPS: Readonly<Record<Depth, number>> = { all: 240, some: 40 };

/** A disk with data in two places, so that the tables have entries of every kind. */
const sample = () =>
  memoryDisk(3 * BLOCK_SIZE, [
    { offset: 64 * 1024, bytes: texture(96 * 1024, 17) },
    { offset: 2 * BLOCK_SIZE - 512, bytes: texture(1024, 18) },
  ]);

/** Files that were damaged, or made up: nothing but a `FormatError` may come out, and within bounds. */
export function describeHostility(converter: DiskConverter, options: OptionSet, depth: Depth): void {
  let parts: Parts;
  beforeAll(async () => {
    parts = partsOf((await write(converter, sample(), options)).sink);
  });

  it('survives truncation anywhere', async () => {
    for (const [name, whole] of parts.files) {
      if (name !== '') await readsTheSameOrRefusesWithout(converter, parts, name);
      for (const [index, length] of cuts(whole.length, MOST_CUTS[depth]).entries()) {
        const image = () => parts.image(new Map([[name, whole.subarray(0, length)]]));
        await readsOrRefuses(converter, image());
        if (index % 8 === 0) await checksOrRefuses(converter, image());
        if (index % 32 === 0 && name === '')
          await repairsOrRefuses(converter, whole.subarray(0, length), (bytes) => parts.image(new Map([['', bytes]])));
      }
    }
  }, 120_000);

  it('survives flipped bits', async () => {
    for (const [name, whole] of parts.files) {
      for (const { at, bit } of flips(whole.length, FLIPS[depth])) {
        whole[at] = (whole[at] ?? 0) ^ bit;
        await readsOrRefuses(converter, parts.image());
        await checksOrRefuses(converter, parts.image());
        if (name === '') await repairsOrRefuses(converter, whole, (bytes) => parts.image(new Map([['', bytes]])));
        whole[at] = (whole[at] ?? 0) ^ bit;
      }
    }
  }, 120_000);
}

/** What lies beside the image may be needed, or say something about it only: then the disk is the same without it. */
async function readsTheSameOrRefusesWithout(converter: DiskConverter, parts: Parts, name: string): Promise<void> {
  const image = () => parts.image(new Map([[name, undefined]]));
  await formatErrorOrDone(async () => {
    await using disk = (await converter.open(image())).disk;
    const result = await compareDisks(sample(), disk, { signal: never });
    expect(result, `reading without ${name}`).toEqual({ equal: true });
  });
  await readsOrRefuses(converter, image());
  await checksOrRefuses(converter, image());
}

/** Lengths to cut a file to, ascending. */
function cuts(size: number, most: number): readonly number[] {
  const sectors = Math.ceil(size / SECTOR);
  if (sectors <= most) return Array.from({ length: sectors }, (_, sector) => sector * SECTOR);
  // A third at either end, where the tables are, and a third between them.
  const third = Math.floor(most / 3);
  const between = sectors - 2 * third;
  return [
    ...Array.from({ length: third }, (_, sector) => sector),
    ...Array.from({ length: third }, (_, index) => third + Math.floor((index * between) / third)),
    ...Array.from({ length: third }, (_, sector) => sectors - third + sector),
  ].map((sector) => sector * SECTOR);
}

/** Places of bits to flip: half of them in the first and the last 4 KiB, where headers are. */
function flips(size: number, count: number): readonly { at: number; bit: number }[] {
  const random = new DataView(noise(4 * count, 19).buffer);
  return Array.from({ length: size === 0 ? 0 : count }, (_, flip) => {
    const number = random.getUint32(flip * 4);
    const near = number % Math.min(4096, size);
    const at = flip % 2 === 0 ? number % size : flip % 4 === 1 ? near : size - 1 - near;
    return { at, bit: 1 << (number >>> 29) };
  });
}

async function readsOrRefuses(converter: DiskConverter, file: ImageFile): Promise<void> {
  await formatErrorOrDone(async () => {
    await converter.detect(file);
    await readAll(converter, file);
  });
}

/** Reads every extent of the disk. */
async function readAll(converter: DiskConverter, file: ImageFile): Promise<void> {
  await using disk = (await converter.open(file)).disk;
  const chunk = new Uint8Array(BLOCK_SIZE);
  for await (const { offset, length } of disk.extents()) {
    for (let at = offset; at < offset + length; at += chunk.length)
      await disk.read(chunk.subarray(0, Math.min(chunk.length, offset + length - at)), at);
  }
}
