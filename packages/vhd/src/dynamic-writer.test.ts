import { BLOCK_SIZE, compareDisks, createBlock, pump } from '@polyvisor/core';
import { memoryDisk, memorySink, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { DynamicVhdWriter } from './dynamic-writer.js';
import { MAX_SIZE } from './layout.js';
import { openVhd } from './open.js';

const stamp = {
  creatorApplication: 'win ',
  creatorVersion: 0,
  creatorHostOs: '',
  time: 0,
  uuid: '00000000-0000-8000-8000-000000000001',
};
const signal = new AbortController().signal;
const MiB = 2 ** 20;

async function written(sparse: boolean) {
  const writes: { start: number; end: number }[] = [];
  const sink = memorySink({ beforeWrite: (start, length) => void writes.push({ start, end: start + length }) });
  const writer = new DynamicVhdWriter({ sink, size: 7 * MiB, stamp, sparse, batmap: false, signal });
  const bytes = noise(5 * MiB, 3);
  bytes.fill(0, 64 * 1024, 3 * MiB); // 64 KiB in the first block, 1 MiB at the end of the second
  await pump(memoryDisk(7 * MiB, [{ offset: 0, bytes }]), [writer], { signal });
  await writer.finish();
  writes.sort((a, b) => a.start - b.start);
  return { sink, writes, bytes, image: Buffer.from(sink.bytes()) };
}

// Footer copy, header and table take 2048 bytes; a bitmap is the sector before a page.
const FIRST = 4096;
const STRIDE = 4096 + 2 * MiB;

describe('a dynamic VHD', () => {
  it('has its blocks in order, with data on pages', async () => {
    const { image, bytes } = await written(true);
    expect(image.length).toBe(FIRST + 2 * STRIDE + 2 * MiB + 512);
    const table = [0, 1, 2, 3].map((index) => image.readUInt32BE(1536 + index * 4));
    expect(table).toEqual(
      [FIRST - 512, FIRST + STRIDE - 512, FIRST + 2 * STRIDE - 512, 0xffff_ffff * 512].map((at) => at / 512),
    );
    expect(image.subarray(1536 + 16, 2048).every((byte) => byte === 0xff)).toBe(true);
    for (let block = 0; block < 3; block++) {
      const start = FIRST + block * STRIDE;
      const data = bytes.subarray(block * 2 * MiB, Math.min((block + 1) * 2 * MiB, bytes.length));
      expect(image.subarray(start - 512, start).every((byte) => byte === 0xff)).toBe(true);
      expect(image.subarray(start, start + data.length).equals(data)).toBe(true);
      expect(image.subarray(start + data.length, start + 2 * MiB).every((byte) => byte === 0)).toBe(true);
    }
    expect(image.subarray(-512).equals(image.subarray(0, 512))).toBe(true);
  });

  it('writes only what is not zero, the bitmap along with the data behind it', async () => {
    const { writes } = await written(true);
    const inBlocks = writes.slice(1, -1);
    expect(inBlocks[0]).toEqual({ start: FIRST - 512, end: FIRST + 64 * 1024 });
    expect(inBlocks[1]).toEqual({ start: FIRST + STRIDE - 512, end: FIRST + STRIDE });
    expect(inBlocks[2]?.start).toBe(FIRST + STRIDE + MiB);
    expect(inBlocks.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(3 * 512 + 64 * 1024 + 2 * MiB);
  });

  it('leaves no byte of the file unwritten when it must have no holes, and holds the same', async () => {
    const { writes, image } = await written(false);
    let covered = 0;
    for (const { start, end } of writes) {
      expect(start).toBe(covered);
      covered = end;
    }
    expect(covered).toBe(image.length);
    expect(image.equals((await written(true)).image)).toBe(true);
  });

  it('of the largest size has all its blocks within reach of 32 bits of sectors', async () => {
    // The sink keeps nothing, so that the blocks may all be written.
    let table: Buffer | undefined;
    let end = 0;
    const sink = {
      write: (bytes: Uint8Array, offset: number) => {
        if (offset === 0) table = Buffer.from(bytes.subarray(1536, 1536 + (MAX_SIZE / BLOCK_SIZE) * 4));
        return Promise.resolve();
      },
      end: (size: number) => {
        end = size;
        return Promise.resolve();
      },
    };
    const writer = new DynamicVhdWriter({ sink, size: MAX_SIZE, stamp, sparse: true, batmap: true, signal });
    const bytes = new Uint8Array(BLOCK_SIZE);
    bytes[BLOCK_SIZE - 1] = 1;
    const block = createBlock(0, bytes);
    if (block === undefined) throw new Error('the block is not empty');
    const run = [...block.runs(4096)];
    for (let offset = 0; offset < MAX_SIZE; offset += BLOCK_SIZE)
      await writer.write({ offset, bytes, runs: () => run });
    await writer.finish();
    let expected = table?.readUInt32BE(0) ?? 0;
    for (let at = 0; at < (table?.length ?? 0); at += 4, expected += 4096 + 8) {
      if (table?.readUInt32BE(at) !== expected) expect(table?.readUInt32BE(at)).toBe(expected);
    }
    expect(end).toBeLessThan(0xffff_ffff * 512);
  }, 60_000);

  it('of small blocks stores those that hold something, and reads back', async () => {
    for (const sparse of [true, false]) {
      const sink = memorySink();
      const KiB = 1024;
      const size = 7 * MiB;
      const writer = new DynamicVhdWriter({ sink, size, stamp, sparse, batmap: false, blockSize: 512 * KiB, signal });
      const pieces = [
        { offset: 600 * KiB, bytes: noise(16 * KiB, 1) }, // in the second block
        { offset: 3 * MiB - 4096, bytes: noise(8192, 2) }, // at the end of the sixth and the start of the seventh
        { offset: size - 512, bytes: noise(512, 3) },
      ];
      await pump(memoryDisk(size, pieces), [writer], { signal });
      await writer.finish();
      const image = Buffer.from(sink.bytes());
      const table = Array.from({ length: 14 }, (_, index) => image.readUInt32BE(1536 + index * 4));
      expect(table.flatMap((sector, block) => (sector === 0xffff_ffff ? [] : [block]))).toEqual([1, 5, 6, 13]);
      expect(image.length).toBe(4096 + 4 * (4096 + 512 * KiB) - 4096 + 512);
      const { disk, warnings } = await openVhd(sink.file());
      expect(warnings).toBeUndefined();
      expect(await compareDisks(memoryDisk(size, pieces), disk, { signal })).toEqual({ equal: true });
    }
  });
});
