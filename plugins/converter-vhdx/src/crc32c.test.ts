import { describe, expect, it } from 'vitest';
import { checksumWithout, crc32c } from './crc32c.js';

describe('CRC-32C', () => {
  it.each([
    ['123456789', Buffer.from('123456789'), 0xe3069283],
    ['nothing', Buffer.alloc(0), 0],
    ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
    ['4096 zeros', Buffer.alloc(4096), 0x98f94189],
  ])('of %s is as published', (_, bytes, sum) => {
    expect(crc32c(bytes)).toBe(sum);
  });

  it('goes on from a part', () => {
    expect(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345')))).toBe(0xe3069283);
  });

  it('takes its own field for zero', () => {
    const bytes = Buffer.alloc(4096);
    bytes.writeUInt32LE(0xdeadbeef, 4);
    expect(checksumWithout(bytes, 4)).toBe(0x98f94189);
  });
});
