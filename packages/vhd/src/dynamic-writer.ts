import { type Block, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import type { VhdTarget } from './fixed-writer.js';
import { encodeFooter } from './footer.js';
import { encodeDynamicHeader, encodeEmptyBatmap } from './header.js';
import { DEFAULT_BLOCK_SIZE, FOOTER, HEADER, SECTOR, bitmapSectors } from './layout.js';
import { PIECE, pieces, settleAll, writeZeros } from './pieces.js';

export interface DynamicVhdTarget extends VhdTarget {
  /** Adds blktap's block map, which a disk with the creator `tap` 1.2 or later must have. */
  readonly batmap: boolean;
}

/** Data starts on multiples of this many bytes, as blktap places it: reads of a page touch one page of the file. */
const ALIGNMENT = 4096;

const BITMAP_SIZE = bitmapSectors(DEFAULT_BLOCK_SIZE) * SECTOR;
const TABLE_OFFSET = FOOTER.size + HEADER.size;

/**
 * Single pass: blocks are appended as they come; the footer's copy, the header and the tables before them are written
 * last, from memory (4 bytes for each 2 MiB of the disk: 4 MiB for 2040 GiB).
 *
 *     footer copy | dynamic header | BAT | [ batmap ] | { gap, bitmap, data } | footer
 *
 * A bitmap says that all sectors of its block are present, and those that are zero are holes of the file: readers that
 * honour bitmaps and readers that do not (QEMU) see the same disk.
 */
export class DynamicVhdWriter implements DiskWriter {
  readonly size: number;
  readonly #sink: DiskSink;
  readonly #sparse: boolean;
  readonly #signal: AbortSignal;
  readonly #footer: Buffer;
  /** Everything before the first block; `#table` is the BAT within. */
  readonly #metadata: Buffer;
  readonly #table: Buffer;
  /** Where the next block may start, in bytes. */
  #end: number;
  /** Up to a page of zeros, the bitmap of a full block, and the first piece of a block's data, to be written at once. */
  readonly #lead = Buffer.alloc(ALIGNMENT + PIECE).fill(0xff, ALIGNMENT - BITMAP_SIZE, ALIGNMENT);

  constructor({ sink, size, stamp, sparse, batmap, signal }: DynamicVhdTarget) {
    this.size = size;
    this.#sink = sink;
    this.#sparse = sparse;
    this.#signal = signal;
    const entries = Math.ceil(size / DEFAULT_BLOCK_SIZE);
    const tableEnd = TABLE_OFFSET + roundUp(entries * 4, SECTOR);
    this.#footer = encodeFooter(stamp, size, FOOTER.size);
    this.#metadata = Buffer.concat([
      this.#footer,
      encodeDynamicHeader(TABLE_OFFSET, entries),
      Buffer.alloc(tableEnd - TABLE_OFFSET, 0xff), // no block is allocated yet
      batmap ? encodeEmptyBatmap(tableEnd, entries) : Buffer.alloc(0),
    ]);
    this.#table = this.#metadata.subarray(TABLE_OFFSET, tableEnd);
    this.#end = this.#metadata.length;
  }

  async write(block: Block): Promise<void> {
    const { offset, bytes } = block;
    const data = roundUp(this.#end + BITMAP_SIZE, ALIGNMENT);
    const gap = data - BITMAP_SIZE - this.#end;
    this.#table.writeUInt32BE((data - BITMAP_SIZE) / SECTOR, (offset / DEFAULT_BLOCK_SIZE) * 4);
    this.#end = data + DEFAULT_BLOCK_SIZE;

    const parts = this.#sparse ? block.runs(ALIGNMENT) : [{ offset: 0, length: bytes.length }];
    const writes: Promise<void>[] = [];
    let leadLength = 0; // bytes of data that go along with the bitmap
    for (const part of parts) {
      for (const piece of pieces(part.offset, part.length)) {
        const run = bytes.subarray(piece.offset, piece.offset + piece.length);
        if (piece.offset === 0) {
          this.#lead.set(run, ALIGNMENT);
          leadLength = run.length;
        } else {
          writes.push(this.#sink.write(run, data + piece.offset));
        }
      }
    }
    const leadStart = ALIGNMENT - BITMAP_SIZE - (this.#sparse ? 0 : gap);
    const lead = this.#lead.subarray(leadStart, ALIGNMENT + leadLength);
    writes.push(this.#sink.write(lead, data - (ALIGNMENT - leadStart)));
    await settleAll(writes);
    if (!this.#sparse) await writeZeros(this.#sink, data + bytes.length, this.#end, this.#signal);
  }

  async finish(): Promise<void> {
    await this.#sink.write(this.#metadata, 0);
    await this.#sink.write(this.#footer, this.#end);
    await this.#sink.end(this.#end + this.#footer.length);
  }

  /** Holds nothing but memory. */
  abort(): Promise<void> {
    return Promise.resolve();
  }
}
