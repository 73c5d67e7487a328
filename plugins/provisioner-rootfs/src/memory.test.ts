import { expect, it } from 'vitest';
import { scratchMemory } from './memory.js';

const GIB = 2 ** 30;

it('puts the tree into memory where there is enough of it, and to disk elsewhere', () => {
  expect(scratchMemory('auto', 8 * GIB)).toBeCloseTo(6.4 * GIB, -4);
  expect(scratchMemory('auto', 2 * GIB)).toBeUndefined();
  expect(scratchMemory('memory', 2 * GIB)).toBeGreaterThan(GIB);
  expect(scratchMemory('disk', 8 * GIB)).toBeUndefined();
});
