import type { Block, DiskWriter } from '@polyvisor/core';
import { encodeFirstMib } from './encode.js';
import { batOf, UNIT, type VhdxTarget, writeMetadata } from './target.js';
import { settleAll, writeZeros } from './zeros.js';

/**
 * Strictly from front to back: all places are known before the first byte of data, so the first MiB and the BAT go first.
 * A file that is cut short is no image yet: its BAT leads behind its end.
 */
export class FixedVhdxWriter implements DiskWriter {
  readonly size: number;
  readonly order = 'append';
  readonly #target: VhdxTarget;
  /** First byte of the payload in the file. */
  readonly #payload: number;
  readonly #blocks: number;
  #begun = false;
  #written: number;

  constructor(target: VhdxTarget) {
    const { disk, file } = target;
    this.size = disk.size;
    this.#target = target;
    this.#payload = file.bat.offset + file.bat.length;
    this.#blocks = Math.ceil(disk.size / disk.blockSize);
    this.#written = this.#payload;
  }

  async write(block: Block): Promise<void> {
    await this.#begin();
    const writes: Promise<void>[] = [];
    try {
      for (const run of block.runs(UNIT)) {
        const at = this.#payload + block.offset + run.offset;
        await this.#fill(at);
        writes.push(this.#target.sink.write(block.bytes.subarray(run.offset, run.offset + run.length), at));
        this.#written = at + run.length;
      }
    } finally {
      await settleAll(writes);
    }
  }

  async finish(): Promise<void> {
    await this.#begin();
    const end = this.#payload + this.#blocks * this.#target.disk.blockSize;
    await this.#fill(end);
    await this.#target.sink.end(end);
  }

  /** Holds nothing but memory. */
  abort(): Promise<void> {
    return Promise.resolve();
  }

  /** Everything before the payload. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const { sink, disk, file, signal } = this.#target;
    await sink.write(encodeFirstMib(file), 0);
    await writeMetadata(this.#target);
    const bat = batOf(this.#target, !this.#target.sparse);
    for (let block = 0; block < this.#blocks; block++) {
      if (block % 65_536 === 0) signal.throwIfAborted();
      await bat.set(block, this.#payload + block * disk.blockSize);
    }
    await bat.finish();
  }

  async #fill(end: number): Promise<void> {
    if (!this.#target.sparse) await writeZeros(this.#target.sink, this.#written, end, this.#target.signal);
  }
}
