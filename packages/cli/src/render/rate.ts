/** Weight of the newest measurement; older ones fade. */
const WEIGHT = 0.3;

/** Shortest time between two measurements, in milliseconds. */
const INTERVAL = 500;

export interface Pace {
  /** Units a second; undefined until there is something to measure. */
  readonly rate: number | undefined;
  /** In seconds. */
  readonly left: number | undefined;
}

/** How fast something goes and how long it will still take, from its progress alone. One for each stage. */
export class Rate {
  #since: { readonly at: number; readonly done: number } | undefined;
  #rate: number | undefined;

  /** `now` in milliseconds. */
  measure(done: number, total: number, now: number): Pace {
    this.#since ??= { at: now, done };
    const elapsed = now - this.#since.at;
    if (elapsed >= INTERVAL) {
      const current = ((done - this.#since.done) / elapsed) * 1000;
      this.#rate = this.#rate === undefined ? current : WEIGHT * current + (1 - WEIGHT) * this.#rate;
      this.#since = { at: now, done };
    }
    const left = this.#rate === undefined || this.#rate <= 0 ? undefined : (total - done) / this.#rate;
    return { rate: this.#rate, left };
  }
}
