import { BLOCK_SIZE, compareDisks, type DiskConverter, errorKind, pump } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { memoryDisk, type MemoryDisk, type MemorySink, memorySink, noise, texture } from '../memory.js';
import { expectSound } from './check.js';
import { job, never } from './write.js';

/** The second is empty, the third of another size. */
const disks: readonly (() => MemoryDisk)[] = [
  () => memoryDisk(3 * BLOCK_SIZE, [{ offset: 512, bytes: texture(300_000, 61) }]),
  () => memoryDisk(2 * BLOCK_SIZE, []),
  () => memoryDisk(5 * BLOCK_SIZE, [{ offset: 4 * BLOCK_SIZE, bytes: noise(64 * 1024, 62) }]),
];

/** Several disks in one file, for the formats that can. */
export function describeSeveralDisks(converter: DiskConverter): void {
  if (converter.capabilities.severalDisks !== true) return;

  it('reads back each of several disks, by number and by name', async () => {
    const sink = await writeSeveral(converter);
    const { disks: listed = [] } = await converter.open(sink.file(), { disk: '1' });
    expect(listed).toHaveLength(disks.length);
    for (const [index, make] of disks.entries()) {
      for (const disk of [`${index + 1}`, listed[index]?.name ?? '']) {
        await using opened = (await converter.open(sink.file(), { disk })).disk;
        expect(opened.size).toBe(listed[index]?.size);
        expect(await compareDisks(make(), opened, { signal: never })).toEqual({ equal: true });
      }
    }
    await expectSound(converter, sink.file());
  });

  it('does not choose one of several disks by itself, nor one that is not there', async () => {
    const sink = await writeSeveral(converter);
    for (const disk of [undefined, '0', `${disks.length + 1}`, 'no such disk']) {
      await expect(converter.open(sink.file(), disk === undefined ? {} : { disk })).rejects.toSatisfy((error) =>
        ['format', 'definition'].includes(errorKind(error) ?? ''),
      );
    }
  });
}

async function writeSeveral(converter: DiskConverter): Promise<MemorySink> {
  const sink = memorySink();
  const [first, ...further] = disks.map((make) => make());
  if (first === undefined) return sink;
  const base = job(first.size, sink, {});
  const writer = await converter.create({ ...base, furtherDisks: further.map(({ size }) => size) });
  await pump(first, [writer], { signal: never });
  for (const disk of further) {
    expect(writer.nextDisk, 'a converter of several disks has nextDisk').toBeDefined();
    await writer.nextDisk?.();
    await pump(disk, [writer], { signal: never });
  }
  await writer.finish();
  return sink;
}
