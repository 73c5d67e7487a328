import { describe, expect, it } from 'vitest';
import type { DiskSource } from './disk.js';
import { createIdentity, seedOf } from './identity.js';

function disk(bytes: Uint8Array): DiskSource {
  return {
    size: bytes.length,
    async *extents() {
      await Promise.resolve();
      yield { offset: 0, length: bytes.length };
    },
    read: async (into, offset) => {
      await Promise.resolve();
      into.set(bytes.subarray(offset, offset + into.length));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

describe('an identity', () => {
  it('depends on the seed and the purpose, and on nothing else', () => {
    expect(createIdentity('a').uuid('disk')).toBe(createIdentity('a').uuid('disk'));
    expect(createIdentity('a').uuid('disk')).not.toBe(createIdentity('b').uuid('disk'));
    expect(createIdentity('a').uuid('disk')).not.toBe(createIdentity('a').uuid('other'));
    expect(createIdentity('a').uuid('disk')).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  it('comes from what a disk holds, also at its end', async () => {
    const bytes = new Uint8Array(8 << 20);
    const zero = await seedOf(disk(bytes));
    expect(await seedOf(disk(bytes.slice()))).toBe(zero);
    for (const at of [0, 600, bytes.length - 1]) {
      const changed = bytes.slice();
      changed[at] = 1;
      expect(await seedOf(disk(changed))).not.toBe(zero);
    }
    expect(await seedOf(disk(new Uint8Array(4 << 20)))).not.toBe(zero);
    await expect(seedOf(disk(new Uint8Array(512)))).resolves.toMatch(/^[0-9a-f]{64}$/);
  });
});
