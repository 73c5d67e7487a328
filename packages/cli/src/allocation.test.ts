import type { DiskSource, Extent } from '@polyvisor/core';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { allocationMap, mapParts, paintMap } from './allocation-map.js';
import { readAllocation } from './allocation.js';

const signal = new AbortController().signal;

function disk(size: number, extents: Iterable<Extent>): DiskSource {
  return {
    size,
    async *extents() {
      await Promise.resolve();
      yield* extents;
    },
    read: () => Promise.reject(new Error('a map reads nothing')),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

describe('readAllocation', () => {
  it('adds extents up, part by part', async () => {
    const { allocated, partSize, parts } = await readAllocation(
      disk(10_240, [
        { offset: 0, length: 100 },
        { offset: 1000, length: 2000 },
        { offset: 9728, length: 512 },
      ]),
      8,
      signal,
    );
    expect([allocated, partSize]).toEqual([2612, 1536]);
    expect([...parts]).toEqual([636, 1464, 0, 0, 0, 0, 512]);
  });

  it('takes a disk of 64 TiB with a million extents in flat memory and time', async () => {
    const size = 64 * 2 ** 40;
    function* many() {
      for (let index = 0; index < 1_000_000; index++) yield { offset: index * 2 ** 26, length: 65_536 };
    }
    const started = performance.now();
    const { allocated, parts } = await readAllocation(disk(size, many()), 268, signal);
    expect(allocated).toBe(1_000_000 * 65_536);
    expect(parts).toHaveLength(268);
    expect(performance.now() - started).toBeLessThan(5000);
    const whole = await readAllocation(disk(size, [{ offset: 0, length: size }]), 268, signal);
    expect(whole.parts.reduce((sum, part) => sum + part)).toBe(size);
  });

  it('has no parts for a disk without bytes, and at most one for each sector', async () => {
    expect((await readAllocation(disk(0, []), 8, signal)).parts).toHaveLength(0);
    expect((await readAllocation(disk(1024, []), 8, signal)).parts).toHaveLength(2);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    function* endless() {
      for (let offset = 0; ; offset++) yield { offset, length: 1 };
    }
    setTimeout(() => controller.abort(new Error('enough')), 5);
    await expect(readAllocation(disk(2 ** 50, endless()), 8, controller.signal)).rejects.toThrow('enough');
  });
});

describe('allocationMap', () => {
  const part = 2 ** 20;
  const draw = async (columns: number, size: number, extents: readonly Extent[]) => {
    const source = disk(size, extents);
    return allocationMap(await readAllocation(source, mapParts(columns), signal), source, columns).split('\n');
  };

  it('draws full, partly and empty parts in as many rows as it needs, and says what they mean', async () => {
    const lines = await draw(45, 128 * part, [
      { offset: 0, length: 2 * part },
      { offset: 2 * part, length: 1 },
      { offset: 3 * part, length: part / 2 },
      { offset: 4 * part, length: part - 1 },
      { offset: 127 * part, length: part },
    ]);
    expect(lines).toEqual([
      `           0 ██░▒▓${'·'.repeat(27)}`,
      `    32.0 MiB ${'·'.repeat(32)}`,
      `    64.0 MiB ${'·'.repeat(32)}`,
      `    96.0 MiB ${'·'.repeat(31)}█`,
      '             each 1.00 MiB: █ data, ░▒▓ partly, · empty',
    ]);
  });

  it('fits terminals of any width, and small disks', async () => {
    for (const columns of [0, 20, 80, 1000]) {
      const lines = await draw(columns, 2 ** 40, [{ offset: 0, length: 2 ** 40 }]);
      expect(lines).toHaveLength(5);
      expect(Math.max(...lines.slice(0, 4).map((line) => line.length))).toBeLessThanOrEqual(
        Math.max(29, Math.min(columns, 141)),
      );
    }
    expect((await draw(80, 1024, [{ offset: 512, length: 512 }]))[0]).toBe('           0 ·█');
  });

  it('is painted without a change to its text', () => {
    const text = '0 ██░▒··\ndisk █ alone';
    const painted = paintMap(text, pc.createColors(true));
    expect(painted).toContain('\u001b[32m██\u001b[39m\u001b[33m░▒\u001b[39m··');
    expect(painted).toContain('\ndisk █ alone');
  });
});
