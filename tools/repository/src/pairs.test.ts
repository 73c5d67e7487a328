import { compareDisks, createIdentity, type DiskConverter, type DiskSource, pump, seedOf } from '@polyvisor/core';
import { job, memoryDisk, type MemoryDisk, type MemorySink, memorySink, noise, texture } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { loadConverters } from './converters.js';

const never = new AbortController().signal;
const SECTOR = 512;

const converters = await loadConverters();
const pairs = converters.flatMap((first) => converters.map((second) => ({ first, second })));

/** As `convert` does it: every identity follows from what the disk holds. */
async function write(converter: DiskConverter, source: DiskSource): Promise<MemorySink> {
  const sink = memorySink();
  const identity = createIdentity(await seedOf(source));
  const writer = await converter.create({ ...job(source.size, sink, {}), identity });
  await pump(source, [writer], { signal: never });
  await writer.finish();
  return sink;
}

/** The disk of an image that was written from `source`; its reader works as long as the sink lives. */
async function through(converter: DiskConverter, source: DiskSource): Promise<DiskSource> {
  return (await converter.open((await write(converter, source)).file())).disk;
}

/** A few pieces anywhere on a disk of `size` bytes; another one for each seed, the same one each time. */
function randomDisk(size: number, seed: number): MemoryDisk {
  const random = new DataView(noise(64, seed).buffer);
  const lot = (index: number, below: number) => random.getUint32(index * 4, true) % below;
  const count = 1 + lot(0, 4);
  const part = Math.floor(size / count / SECTOR);
  const pieces = Array.from({ length: count }, (_, index) => {
    const start = lot(1 + 2 * index, part);
    const sectors = 1 + (lot(2 + 2 * index, 300) % (part - start));
    const make = index % 2 === 0 ? texture : noise;
    return { offset: (index * part + start) * SECTOR, bytes: make(sectors * SECTOR, seed + index) };
  });
  return memoryDisk(size, pieces);
}

/** Of two positive numbers, the least that both divide. */
function leastCommonMultiple(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller];
  return (a / larger) * b;
}

describe('every pair of formats', () => {
  it('is every pair', () => {
    expect(converters.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['raw', 'qcow2', 'xen-vhd', 'hyperv-vhd', 'ova']),
    );
    expect(pairs).toHaveLength(converters.length ** 2);
  });

  it.each(pairs.map(({ first, second }, index) => ({ first, second, seed: index + 1 })))(
    'passes a disk on whole: $first.id, $second.id',
    async ({ first, second, seed }) => {
      const third = converters[seed % converters.length] ?? first;
      const raw = converters.find(({ id }) => id === 'raw') ?? first;
      const size = (6 * 1024 + 1 + seed) * SECTOR;
      const original = randomDisk(size, seed);
      let disk: DiskSource = original;
      for (const converter of [first, second, third, raw]) {
        disk = await through(converter, disk);
        expect(disk.size).toBeGreaterThanOrEqual(size);
      }
      expect(await compareDisks(randomDisk(size, seed), disk, { signal: never })).toEqual({ equal: true });
    },
  );

  it.each(pairs)('gives the first file back: $first.id, $second.id, $first.id', async ({ first, second }) => {
    const unit = leastCommonMultiple(first.capabilities.sizeMultiple, second.capabilities.sizeMultiple);
    const size = Math.ceil((5 * 1024 * 1024) / unit) * unit;
    const disk = () => randomDisk(size, converters.indexOf(first) * 97 + converters.indexOf(second));
    const before = await write(first, disk());
    const between = await through(second, (await first.open(before.file())).disk);
    expect(between.size).toBe(size);
    const after = await write(first, between);
    expect([...after.files.keys()]).toEqual([...before.files.keys()]);
    for (const [one, other] of [
      [before, after],
      ...[...before.files].map(([name, file]) => [file, after.files.get(name)]),
    ]) {
      expect(other?.size).toBe(one?.size);
      expect(Buffer.compare(other?.bytes() ?? new Uint8Array(0), one?.bytes() ?? new Uint8Array(0))).toBe(0);
    }
  });
});
