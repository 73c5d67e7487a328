import { expect, it } from 'vitest';
import { readGuid, writeGuid } from './guid.js';

it('stores the first three groups of a GUID little-endian', () => {
  const bytes = Buffer.alloc(18);
  writeGuid(bytes, '2dc27766-f623-4200-9d64-115e9bfd4a08', 1);
  expect(bytes.toString('hex')).toBe(`00${'6677c22d23f600429d64115e9bfd4a08'}00`);
  expect(readGuid(bytes, 1)).toBe('2dc27766-f623-4200-9d64-115e9bfd4a08');
});
