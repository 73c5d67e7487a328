import { describe, expect, it } from 'vitest';
import { encodeUuid, readUuid } from './uuid.js';

describe('a UUID in a VDI', () => {
  it('has its first three fields the other way round', () => {
    const uuid = '00112233-4455-6677-8899-aabbccddeeff';
    const bytes = encodeUuid(uuid);
    expect(bytes.toString('hex')).toBe('33221100554477668899aabbccddeeff');
    expect(readUuid(Buffer.concat([Buffer.alloc(3), bytes]), 3)).toBe(uuid);
  });
});
