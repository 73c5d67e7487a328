import type { Extent, ImageFile } from '@polyvisor/core';
import { LOG_SECTOR } from './layout.js';
import type { Header } from './read-headers.js';

/** The log's bytes as a ring: what runs over its end goes on at its start. Positions count from its start. */
export class LogRing {
  readonly length: number;
  readonly #file: ImageFile;
  readonly #offset: number;

  constructor(file: ImageFile, { logOffset, logLength }: Header) {
    this.#file = file;
    this.#offset = logOffset;
    this.length = logLength;
  }

  wrap(position: number): number {
    return position % this.length;
  }

  /** Offset in the file of a position, which may run over. */
  place(position: number): number {
    return this.#offset + this.wrap(position);
  }

  async read(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const start = this.wrap(position);
    const first = Math.min(length, this.length - start);
    await this.#file.read(bytes.subarray(0, first), this.#offset + start);
    if (first < length) await this.#file.read(bytes.subarray(first), this.#offset);
    return bytes;
  }

  /** Runs of sectors that may hold something; the rest of a log is a hole of its file, or was never written. */
  async *stored(): AsyncGenerator<Extent> {
    let passed = 0;
    for await (const { offset, length } of this.#file.extents()) {
      if (offset >= this.#offset + this.length) return;
      const start = Math.max(passed, Math.floor((offset - this.#offset) / LOG_SECTOR) * LOG_SECTOR);
      const end = Math.min(this.length, Math.ceil((offset + length - this.#offset) / LOG_SECTOR) * LOG_SECTOR);
      if (start >= end) continue;
      yield { offset: start, length: end - start };
      passed = end;
    }
  }
}
