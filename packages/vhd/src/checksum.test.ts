import { expect, it } from 'vitest';
import { checksum } from './checksum.js';

it('leaves out the bytes of its own field', () => {
  const structure = new Uint8Array(16).fill(1);
  expect(checksum(structure, 4)).toBe(0xffff_ffff - 12);
  structure.fill(0xff, 4, 8);
  expect(checksum(structure, 4)).toBe(0xffff_ffff - 12);
  structure[8] = 3;
  expect(checksum(structure, 4)).toBe(0xffff_ffff - 14);
});

it('of zeros is all ones, as of an empty batmap', () => {
  expect(checksum(new Uint8Array(512), 0)).toBe(0xffff_ffff);
});
