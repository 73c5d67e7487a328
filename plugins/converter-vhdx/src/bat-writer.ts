import type { DiskSink } from '@polyvisor/core';
import { batIndexOf, ENTRY, MIB, PAYLOAD } from './layout.js';

/** Bytes of the BAT in memory at once: one write for the entries of 16 GiB in blocks of 2 MiB. */
const PAGE = 64 * 1024;

/** Writes the BAT page by page, as a pass goes on: its entries ascend, so a page that has been left is complete. */
export class BatWriter {
  readonly #sink: DiskSink;
  readonly #offset: number;
  readonly #chunkRatio: number;
  /** In bytes; pages behind it need no writing. */
  readonly #length: number;
  /** Pages without entries are written too, so that the file has no hole there. */
  readonly #everyPage: boolean;
  readonly #page = Buffer.alloc(PAGE);
  /** Which page is in memory, and whether it has entries. */
  #index = 0;
  #dirty = false;

  constructor(sink: DiskSink, offset: number, length: number, chunkRatio: number, everyPage: boolean) {
    this.#sink = sink;
    this.#offset = offset;
    this.#length = length;
    this.#chunkRatio = chunkRatio;
    this.#everyPage = everyPage;
  }

  /** Says where a payload block is. `offset` is a multiple of a MiB. */
  async set(block: number, offset: number): Promise<void> {
    const at = batIndexOf(block, this.#chunkRatio) * ENTRY.size;
    const page = Math.floor(at / PAGE);
    if (page !== this.#index) await this.#select(page);
    this.#page.writeBigUInt64LE((BigInt(offset / MIB) << 20n) | BigInt(PAYLOAD.fullyPresent), at % PAGE);
    this.#dirty = true;
  }

  /** Writes what is left. Without it, no entry behind the last flushed page is in the file. */
  async finish(): Promise<void> {
    await this.#select(Math.ceil(this.#length / PAGE));
  }

  async #select(page: number): Promise<void> {
    for (; this.#index < page; this.#index++) {
      if (this.#dirty || this.#everyPage) {
        const at = this.#index * PAGE;
        await this.#sink.write(this.#page.subarray(0, Math.min(PAGE, this.#length - at)), this.#offset + at);
      } else {
        this.#index = page - 1; // nothing between here and there
      }
      if (this.#dirty) this.#page.fill(0);
      this.#dirty = false;
    }
  }
}
