import { pump } from '@polyvisor/core';
import { memoryDisk, memorySink, noise } from '@polyvisor/testkit';
import { expect, it } from 'vitest';
import { createFixedVhd } from './fixed-writer.js';
import { encodeFooter } from './footer.js';

const stamp = {
  creatorApplication: 'win ',
  creatorVersion: 0,
  creatorHostOs: '',
  time: 0,
  uuid: '00000000-0000-8000-8000-000000000001',
};
const MiB = 2 ** 20;
const SIZE = 15 * MiB;
const pieces = [
  { offset: 3 * MiB + 4096, bytes: noise(70 * 1024, 1) },
  { offset: 9 * MiB, bytes: noise(3 * MiB, 2) },
];

async function written(sparse: boolean) {
  const writes: { start: number; end: number }[] = [];
  const sink = memorySink({ beforeWrite: (start, length) => void writes.push({ start, end: start + length }) });
  const signal = new AbortController().signal;
  const writer = createFixedVhd({ sink, size: SIZE, stamp, sparse, signal });
  await pump(memoryDisk(SIZE, pieces), [writer], { signal });
  await writer.finish();
  writes.sort((a, b) => a.start - b.start);
  return { writes, image: Buffer.from(sink.bytes()) };
}

it.each([true, false])('is the disk, then the footer (sparse: %s)', async (sparse) => {
  const { image } = await written(sparse);
  const disk = Buffer.alloc(SIZE);
  for (const { offset, bytes } of pieces) disk.set(bytes, offset);
  expect(image.length).toBe(SIZE + 512);
  expect(image.subarray(0, SIZE).equals(disk)).toBe(true);
  expect(image.subarray(SIZE).equals(encodeFooter(stamp, SIZE))).toBe(true);
});

it('writes only what is not zero when it may leave holes', async () => {
  const { writes } = await written(true);
  // 70 KiB rounded up to pages, 3 MiB, and the footer
  expect(writes.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(72 * 1024 + 3 * MiB + 512);
});

it('writes every byte once when it must have no holes', async () => {
  const { writes, image } = await written(false);
  let covered = 0;
  for (const { start, end } of writes) {
    expect(start).toBe(covered);
    covered = end;
  }
  expect(covered).toBe(image.length);
});

it('stops filling with zeros when cancelled', async () => {
  const cancel = new AbortController();
  let count = 0;
  const sink = memorySink({
    beforeWrite: () => {
      if (++count === 10) cancel.abort(new Error('enough'));
    },
  });
  const writer = createFixedVhd({ sink, size: 2 ** 40, stamp, sparse: false, signal: cancel.signal });
  await expect(writer.finish()).rejects.toThrow('enough');
  expect(count).toBeLessThan(20);
});
