import { expect, it } from 'vitest';
import type { ByteSource, Extent } from './disk.js';
import { clipExtents, unionExtents } from './extents.js';
import { presence } from './presence.js';

async function* extents(...pairs: readonly (readonly [number, number])[]): AsyncGenerator<Extent> {
  for (const [offset, length] of pairs) {
    await Promise.resolve();
    yield { offset, length };
  }
}

async function pairs(all: AsyncIterable<Extent>): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for await (const { offset, length } of all) found.push([offset, length]);
  return found;
}

it('cuts extents at an end', async () => {
  expect(await pairs(clipExtents(extents([0, 10], [20, 10], [40, 10]), 25))).toEqual([
    [0, 10],
    [20, 5],
  ]);
  expect(await pairs(clipExtents(extents([25, 10]), 25))).toEqual([]);
});

it('joins the extents of two disks', async () => {
  const both = unionExtents(extents([0, 10], [30, 10]), extents([5, 10], [15, 5], [50, 1]));
  expect(await pairs(both)).toEqual([
    [0, 20],
    [30, 10],
    [50, 1],
  ]);
});

it('tells what of a range is stored, and calls all of it stored when the range was passed', async () => {
  const file = { extents: () => extents([0, 100], [200, 50], [260, 500]) } as unknown as ByteSource;
  const holes = presence(file);
  expect(await pairs(holes.within(50, 150))).toEqual([[50, 50]]);
  expect(await pairs(holes.within(150, 200))).toEqual([]);
  expect(await pairs(holes.within(210, 300))).toEqual([
    [210, 40],
    [260, 40],
  ]);
  // One extent goes on into the next range.
  expect(await pairs(holes.within(300, 400))).toEqual([[300, 100]]);
  expect(await pairs(holes.within(100, 200))).toEqual([[100, 100]]);
  expect(await pairs(holes.within(400, 1000))).toEqual([[400, 360]]);
  await holes.close();
});
