import { compareDisks, type DiskConverter } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { memoryDisk, noise, texture } from '../memory.js';
import { expectSound } from './check.js';
import { type ConverterSuite } from './suite.js';
import { never, write } from './write.js';

/** The most that is tried of formats which could hold more than anybody has, in bytes: 64 TiB. */
const MOST = 2 ** 46;

/** A disk at the limit of the format, with data at both ends and in the middle: tables of full length, counters at their ends. */
export function describeLargest(converter: DiskConverter, { largest = MOST }: ConverterSuite): void {
  it('holds a disk of its largest size', async () => {
    const { maxSize, sizeMultiple } = converter.capabilities;
    const size = Math.floor(Math.min(maxSize, largest) / sizeMultiple) * sizeMultiple;
    const make = () =>
      memoryDisk(size, [
        { offset: 0, bytes: texture(9 * 512, 41) },
        { offset: Math.floor(size / 2 / 512) * 512 - 3 * 512, bytes: texture(200 * 1024, 42) },
        { offset: size - 512, bytes: noise(512, 43) },
      ]);
    const { sink, writer } = await write(converter, make(), {});
    expect(writer.size).toBe(size);
    expect(sink.peak).toBeLessThanOrEqual(16 * 1024 * 1024);
    await using disk = (await converter.open(sink.file())).disk;
    expect(disk.size).toBe(size);
    expect(await compareDisks(make(), disk, { signal: never })).toEqual({ equal: true });
    await expectSound(converter, sink.file());
  }, 60_000);
}
