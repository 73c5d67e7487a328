import { noise } from '@polyvisor/testkit';
import { expect, it } from 'vitest';
import { MAX_INPUT, mutate } from './mutate.js';
import { createRandom } from './random.js';

it('gives the same inputs for the same seed, and others for another', () => {
  const input = noise(8192);
  const many = (seed: number) => {
    const random = createRandom(seed);
    return Array.from({ length: 50 }, () => Buffer.from(mutate(input, random, [input])).toString('hex'));
  };
  expect(many(7)).toEqual(many(7));
  expect(many(8)).not.toEqual(many(7));
});

it('leaves what it started from alone, and stays within its length', () => {
  const input = noise(MAX_INPUT);
  const copy = input.slice();
  const random = createRandom(3);
  for (let n = 0; n < 60; n++) expect(mutate(input, random, [input]).length).toBeLessThanOrEqual(MAX_INPUT);
  expect(Buffer.compare(input, copy)).toBe(0);
});

it('copes with inputs that have shrunk to nothing', () => {
  const random = createRandom(5);
  for (let n = 0; n < 500; n++) expect(() => mutate(new Uint8Array(0), random, [new Uint8Array(0)])).not.toThrow();
});
