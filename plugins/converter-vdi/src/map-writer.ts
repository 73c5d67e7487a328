import type { DiskSink } from '@polyvisor/core';
import { ENTRY_SIZE } from './layout.js';

/** Entries written at once: 256 KiB, which is 64 GiB of disk in blocks of the usual size. */
const PAGE_ENTRIES = 65_536;

/** Writes the map page by page, in ascending order. What is not set is free. Memory: one page. */
export class MapWriter {
  readonly #sink: DiskSink;
  readonly #offset: number;
  readonly #entries: number;
  /** All ones is "free". */
  readonly #page = Buffer.alloc(PAGE_ENTRIES * ENTRY_SIZE, 0xff);
  /** The first entry of the page in memory. */
  #first = 0;

  /** `offset` in bytes from the start of the file. */
  constructor(sink: DiskSink, offset: number, entries: number) {
    this.#sink = sink;
    this.#offset = offset;
    this.#entries = entries;
  }

  /** Entries ascend. */
  async set(index: number, value: number): Promise<void> {
    while (index >= this.#first + PAGE_ENTRIES) await this.#flush();
    this.#page.writeUInt32LE(value, (index - this.#first) * ENTRY_SIZE);
  }

  async finish(): Promise<void> {
    while (this.#first < this.#entries) await this.#flush();
  }

  async #flush(): Promise<void> {
    const count = Math.min(PAGE_ENTRIES, this.#entries - this.#first);
    await this.#sink.write(this.#page.subarray(0, count * ENTRY_SIZE), this.#offset + this.#first * ENTRY_SIZE);
    this.#page.fill(0xff);
    this.#first += PAGE_ENTRIES;
  }
}
