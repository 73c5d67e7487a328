import { deflateSync, inflateRawSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createDeflater, rawStream } from './deflate.js';
import type { Block } from './disk.js';
import { createBlock } from './pump.js';

const PART = 65_536;

/** A block of text-like bytes, so that every part compresses differently. */
function block(length: number): Block {
  const bytes = Uint8Array.from({ length }, (_, index) => ((index * index) >>> 7) & 0x3f);
  const made = createBlock(0, bytes);
  if (made === undefined) throw new Error('the block is empty');
  return made;
}

describe('the deflater', () => {
  it('gives what zlib gives, for many parts at once and however its streams are used again', async () => {
    const deflater = createDeflater();
    const whole = block(32 * PART);
    for (const level of [1, 3, 9]) {
      const parts = await Promise.all(
        Array.from({ length: 32 }, (_, index) => deflater.deflate(whole, index * PART, PART, level)),
      );
      parts.forEach((part, index) => {
        const original = whole.bytes.subarray(index * PART, (index + 1) * PART);
        expect(Buffer.compare(part, deflateSync(original, { level, memLevel: 9 }))).toBe(0);
        expect(Buffer.compare(inflateSync(part), original)).toBe(0);
        expect(Buffer.compare(inflateRawSync(rawStream(part)), original)).toBe(0);
      });
    }
  });

  it('compresses a part once, however many ask', async () => {
    const deflater = createDeflater();
    const whole = block(2 * PART);
    const [first, second] = await Promise.all([
      deflater.deflate(whole, 0, PART, 3),
      deflater.deflate(whole, 0, PART, 3),
    ]);
    expect(second).toBe(first);
    expect(await deflater.deflate(block(2 * PART), 0, PART, 3)).not.toBe(first);
  });

  it('fills the last part up with zeros', async () => {
    const part = inflateSync(await createDeflater().deflate(block(PART + 512), PART, PART, 3));
    expect(part).toHaveLength(PART);
    expect(part.subarray(512).every((byte) => byte === 0)).toBe(true);
  });

  it('keeps what does not compress', async () => {
    const bytes = Uint8Array.from({ length: PART }, (_, index) => Math.imul(index + 1, 2_654_435_761) >>> 24);
    const made = createBlock(0, bytes) as Block;
    expect(Buffer.compare(inflateSync(await createDeflater().deflate(made, 0, PART, 1)), bytes)).toBe(0);
  });
});
