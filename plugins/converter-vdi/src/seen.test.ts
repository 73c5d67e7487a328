import { describe, expect, it } from 'vitest';
import { SEEN_WINDOW, SeenBlocks } from './seen.js';

describe('the blocks that were met', () => {
  it('are remembered within the window, and only there', () => {
    const seen = new SeenBlocks(SEEN_WINDOW, 2 * SEEN_WINDOW - 10);
    const last = 2 * SEEN_WINDOW - 11;
    for (const block of [SEEN_WINDOW, SEEN_WINDOW + 1, SEEN_WINDOW + 8, last]) {
      expect(seen.add(block)).toBe(false);
      expect(seen.add(block)).toBe(true);
    }
    for (const outside of [0, SEEN_WINDOW - 1, last + 1, 2 ** 32 - 3]) {
      expect(seen.add(outside)).toBe(false);
      expect(seen.add(outside)).toBe(false);
    }
  });
});
