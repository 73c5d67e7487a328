import { expect, it } from 'vitest';
import { slots } from './slots.js';

it('runs no more work than it has slots, in order, and goes on after a failure', async () => {
  const inSlot = slots(2);
  let running = 0;
  let most = 0;
  const started: number[] = [];
  const work = (index: number) =>
    inSlot(async () => {
      started.push(index);
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (index === 1) throw new Error('one fails');
      return index;
    });
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map(work));
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
  expect(started).toEqual([0, 1, 2, 3, 4]);
  expect(most).toBe(2);
});
