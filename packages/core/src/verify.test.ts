import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DiskSource, Extent } from './disk.js';
import { compareDisks } from './verify.js';

const signal = new AbortController().signal;

function disk(bytes: Uint8Array, extents: readonly Extent[] = [{ offset: 0, length: bytes.length }]): DiskSource {
  return {
    size: bytes.length,
    async *extents() {
      await Promise.resolve();
      yield* extents;
    },
    read: async (into, offset) => {
      await Promise.resolve();
      into.set(bytes.subarray(offset, offset + into.length));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

describe('compareDisks', () => {
  it('finds the first difference, whichever side has data there', async () => {
    const a = new Uint8Array(3 << 20);
    const b = a.slice();
    b[2_500_001] = 9;
    const onlyThere = disk(b, [{ offset: 2_499_584, length: 1024 }]);
    expect(await compareDisks(disk(a, []), onlyThere, { signal })).toEqual({
      equal: false,
      offset: 2_500_001,
      first: 0,
      second: 9,
    });
    expect(await compareDisks(onlyThere, disk(a, []), { signal })).toEqual({
      equal: false,
      offset: 2_500_001,
      first: 9,
      second: 0,
    });
  });

  it('lets one disk be longer by zeros, not by data', async () => {
    const long = new Uint8Array(4096);
    expect(await compareDisks(disk(new Uint8Array(1024)), disk(long), { signal })).toEqual({ equal: true });
    long[4000] = 1;
    expect(await compareDisks(disk(new Uint8Array(1024)), disk(long), { signal })).toMatchObject({
      equal: false,
      offset: 4000,
    });
  });

  it('agrees with a plain comparison, however the extents are cut', async () => {
    const side = fc.array(
      fc.record({ gap: fc.nat(5), sectors: fc.integer({ min: 1, max: 5 }), value: fc.integer({ min: 0, max: 2 }) }),
      { maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(side, side, async (left, right) => {
        const [a, b] = [left, right].map((pieces) => {
          const bytes = new Uint8Array(64 * 512);
          const extents: Extent[] = [];
          let at = 0;
          for (const { gap, sectors, value } of pieces) {
            extents.push({ offset: (at + gap) * 512, length: sectors * 512 });
            bytes.fill(value, (at + gap) * 512, (at + gap + sectors) * 512);
            at += gap + sectors;
          }
          return { bytes, disk: disk(bytes, extents) };
        }) as [{ bytes: Uint8Array; disk: DiskSource }, { bytes: Uint8Array; disk: DiskSource }];
        const result = await compareDisks(a.disk, b.disk, { signal });
        expect(result.equal).toBe(Buffer.compare(a.bytes, b.bytes) === 0);
      }),
      { seed: 1 },
    );
  });
});
