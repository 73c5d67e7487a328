import { createHash } from 'node:crypto';
import type { Machine } from '@polyvisor/core';

/** How long a picture may take, in milliseconds. */
const PATIENCE = 10_000;

/** The guest's screen as it was seen last, and since when it shows the same. */
export class LastScreen {
  #png: Uint8Array | undefined;
  #changed = performance.now();
  /** A cursor that blinks makes two pictures of one screen. */
  #recent: readonly string[] = [];

  get png(): Uint8Array | undefined {
    return this.#png;
  }

  /** In milliseconds. */
  get stillFor(): number {
    return performance.now() - this.#changed;
  }

  /** Looks at the screen. That there is none to see is no error. */
  async look(machine: Machine, signal: AbortSignal): Promise<void> {
    let png: Uint8Array;
    try {
      png = await machine.screenshot(AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]));
    } catch {
      return;
    }
    const digest = createHash('sha256').update(png).digest('hex');
    if (!this.#recent.includes(digest)) {
      this.#changed = performance.now();
      this.#recent = [digest, ...this.#recent.slice(0, 1)];
    }
    this.#png = png;
  }
}
