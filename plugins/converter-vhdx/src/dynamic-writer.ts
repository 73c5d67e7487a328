import type { Block, DiskWriter } from '@polyvisor/core';
import type { BatWriter } from './bat-writer.js';
import { encodeFirstMib } from './encode.js';
import { batOf, UNIT, type VhdxTarget, writeMetadata } from './target.js';
import { settleAll, writeZeros } from './zeros.js';

/**
 * Single pass: payload blocks are appended as their data comes, the BAT is written page by page as the pass leaves them
 * behind, and the first MiB last. Memory is one page of the BAT, whatever the size of the disk.
 *
 *     identifier, headers, region tables | log (empty) | metadata | BAT | { payload block }
 */
export class DynamicVhdxWriter implements DiskWriter {
  readonly size: number;
  readonly #target: VhdxTarget;
  readonly #bat: BatWriter;
  /** Up to here the file is filled with data and, where it must not have holes, zeros. */
  #written: number;
  /** Where the next payload block goes, in bytes. */
  #end: number;
  /** The payload block that was allocated last. */
  #block = -1;

  constructor(target: VhdxTarget) {
    const { disk, file, sparse } = target;
    this.size = disk.size;
    this.#target = target;
    this.#bat = batOf(target, !sparse);
    this.#end = file.bat.offset + file.bat.length;
    this.#written = this.#end;
  }

  async write(block: Block): Promise<void> {
    const { blockSize } = this.#target.disk;
    const writes: Promise<void>[] = [];
    try {
      for (const run of block.runs(UNIT)) {
        const start = block.offset + run.offset;
        const last = Math.floor((start + run.length - 1) / blockSize);
        for (let index = Math.floor(start / blockSize); index <= last; index++) await this.#allocate(index);
        // Blocks that follow each other on the disk and hold one run follow each other in the file.
        const at = this.#end - (this.#block + 1) * blockSize + start;
        await this.#fill(at);
        writes.push(this.#target.sink.write(block.bytes.subarray(run.offset, run.offset + run.length), at));
        this.#written = at + run.length;
      }
    } finally {
      await settleAll(writes);
    }
  }

  async finish(): Promise<void> {
    const { sink, file } = this.#target;
    await this.#fill(this.#end);
    await this.#bat.finish();
    await writeMetadata(this.#target);
    await sink.write(encodeFirstMib(file), 0);
    await sink.end(Math.max(this.#end, file.bat.offset + file.bat.length));
  }

  /** Holds nothing but memory. */
  abort(): Promise<void> {
    return Promise.resolve();
  }

  async #allocate(index: number): Promise<void> {
    if (index === this.#block) return;
    await this.#bat.set(index, this.#end);
    this.#block = index;
    this.#end += this.#target.disk.blockSize;
  }

  async #fill(end: number): Promise<void> {
    if (!this.#target.sparse) await writeZeros(this.#target.sink, this.#written, end, this.#target.signal);
  }
}
