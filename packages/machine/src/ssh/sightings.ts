import type { AttemptFailure } from './attempt-failure.js';

/** What was seen while SSH was waited for, and how often. Bounded: what a guest says may be another thing each time. */
export class Sightings {
  static readonly #MOST = 20;
  readonly #seen = new Map<string, { count: number; first: number; last: number }>();
  #others = 0;

  /** `at`: milliseconds since the waiting began. */
  add({ message }: AttemptFailure, at: number): void {
    const known = this.#seen.get(message);
    if (known !== undefined) {
      known.count++;
      known.last = at;
    } else if (this.#seen.size < Sightings.#MOST) this.#seen.set(message, { count: 1, first: at, last: at });
    else this.#others++;
  }

  /** `connection refused (12 times, from 0 s to 24 s)`, in the order in which they were first seen. */
  lines(): string[] {
    const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} s`;
    const lines = [...this.#seen].map(([message, { count, first, last }]) =>
      count === 1
        ? `${message} (once, after ${seconds(first)})`
        : `${message} (${count} times, from ${seconds(first)} to ${seconds(last)})`,
    );
    return this.#others === 0 ? lines : [...lines, `something else (${this.#others} times)`];
  }
}
