import type { DiskSink } from '@polyvisor/core';

/** Bytes gathered before a write: large enough to make calls rare, small enough for file systems to like them. */
const GATHER = 512 * 1024;

/**
 * Appends small pieces to a sink in large writes. One write is under way while the next is gathered, so the memory is
 * two buffers of 512 KiB.
 */
export class Appender {
  readonly #sink: DiskSink;
  #buffer = new Uint8Array(GATHER);
  #spare = new Uint8Array(GATHER);
  #filled = 0;
  #written = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(sink: DiskSink) {
    this.#sink = sink;
  }

  /** Where the next byte goes, in bytes from the start of the file. */
  get position(): number {
    return this.#written + this.#filled;
  }

  /** Copies `bytes`; they may be reused at once. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const count = Math.min(bytes.length - done, GATHER - this.#filled);
      this.#buffer.set(bytes.subarray(done, done + count), this.#filled);
      this.#filled += count;
      done += count;
      if (this.#filled === GATHER) await this.#flush();
    }
  }

  /** Appends zeros up to the next multiple. */
  async align(multiple: number): Promise<void> {
    const past = this.position % multiple;
    if (past > 0) await this.append(new Uint8Array(multiple - past));
  }

  /** Settles when everything is in the sink. */
  async drain(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  /** Settles when the sink is no longer being written, whatever came of it. */
  async rest(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }

  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#filled === 0) return;
    this.#writing = this.#sink.write(this.#buffer.subarray(0, this.#filled), this.#written);
    // Awaited by the next call; until then a failure must not count as unhandled.
    this.#writing.catch(() => undefined);
    this.#written += this.#filled;
    this.#filled = 0;
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
  }
}
