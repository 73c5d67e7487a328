import { type DiskConverter, type Finding, FormatError, type Patch, rawDisk } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { memoryDisk, memoryFile, noise } from '../memory.js';
import { checksOrRefuses, expectSound, repairsOrRefuses } from './check.js';
import { write } from './write.js';

const bytes = noise(4096);

/** A format whose file is the disk, with what a test puts in. */
function converter(parts: Partial<DiskConverter>): DiskConverter {
  return {
    id: 'sample',
    capabilities: {
      order: 'append',
      maxSize: 2 ** 40,
      sizeMultiple: 512,
      compression: [],
      hypervisors: [],
      consumers: ['kvm'],
    },
    open: (file) => Promise.resolve({ disk: rawDisk(file, file.size), facts: {} }),
    ...parts,
  } as DiskConverter;
}

async function* yielding<T>(...items: readonly T[]): AsyncGenerator<T> {
  await Promise.resolve();
  yield* items;
}

const finding: Finding = { rule: 'sample-field', severity: 'error', message: 'wrong', refusedBy: ['kvm'] };
const patch = (offset: number, byte: number): Patch => ({ offset, bytes: Uint8Array.of(byte), reason: 'mended' });

describe('the suite notices', () => {
  it('an error, or something to mend, in a file that was just written', async () => {
    const file = memoryFile(bytes);
    await expectSound(converter({ check: () => yielding({ ...finding, severity: 'warning' as const }) }), file);
    await expect(expectSound(converter({ check: () => yielding(finding) }), file)).rejects.toThrow();
    await expect(expectSound(converter({ repair: () => yielding(patch(0, 1)) }), file)).rejects.toThrow('a patch');
  });

  it('a finding that blames a consumer who does not load the format', async () => {
    const check = () => yielding({ ...finding, refusedBy: ['esxi'] });
    await expect(checksOrRefuses(converter({ check }), memoryFile(bytes))).rejects.toThrow();
  });

  it('a check that throws anything but a FormatError, or never ends', async () => {
    const failing = (error: Error) => () => ({
      // eslint-disable-next-line require-yield -- it fails at once
      async *[Symbol.asyncIterator]() {
        await Promise.reject(error);
      },
    });
    await checksOrRefuses(converter({ check: failing(new FormatError('sample', 'damaged')) }), memoryFile(bytes));
    const broken = converter({ check: failing(new RangeError('out of bounds')) });
    await expect(checksOrRefuses(broken, memoryFile(bytes))).rejects.toThrow('out of bounds');
    const endless = converter({
      async *check() {
        for (;;) yield await Promise.resolve(finding);
      },
    });
    await expect(checksOrRefuses(endless, memoryFile(bytes))).rejects.toThrow('more than');
  });

  it('a repair that makes another disk, or never ends', async () => {
    const once = converter({
      async *repair(file) {
        const first = new Uint8Array(1);
        await file.read(first, 0);
        if (first[0] !== 0x77) yield patch(0, 0x77);
      },
    });
    await expect(repairsOrRefuses(once, bytes, (other) => memoryFile(other))).rejects.toThrow('before and after');
    const always = converter({ repair: () => yielding(patch(0, bytes[0] ?? 0)) });
    await expect(repairsOrRefuses(always, bytes, (other) => memoryFile(other))).rejects.toThrow('never ends');
  });

  it("a writer of order 'append' that goes back, unless its options make it random", async () => {
    const writing = (order?: 'random') =>
      converter({
        create: ({ size, sink }) =>
          Promise.resolve({
            size,
            ...(order === undefined ? {} : { order }),
            write: (block) => sink.write(block.bytes, 512 + block.offset),
            finish: async () => {
              await sink.write(noise(512), 0);
              await sink.end(size + 512);
            },
            abort: () => Promise.resolve(),
          }),
      });
    const disk = () => memoryDisk(4096, [{ offset: 0, bytes }]);
    await expect(write(writing(), disk(), {})).rejects.toThrow('went back to offset 0 when it stood at 4608');
    await write(writing('random'), disk(), {});
  });
});
