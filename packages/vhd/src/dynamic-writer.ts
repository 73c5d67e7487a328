import { type Block, type DiskSink, type DiskWriter, type Extent, isZero, roundUp } from '@polyvisor/core';
import type { VhdTarget } from './fixed-writer.js';
import { encodeFooter } from './footer.js';
import { encodeDynamicHeader, encodeEmptyBatmap } from './header.js';
import { DEFAULT_BLOCK_SIZE, FOOTER, HEADER, SECTOR, bitmapSectors } from './layout.js';
import { PIECE, pieces, settleAll, writeZeros } from './pieces.js';

export interface DynamicVhdTarget extends VhdTarget {
  /** Adds blktap's block map, which a disk with the creator `tap` 1.2 or later must have. */
  readonly batmap: boolean;
  /** In bytes, a power of two from 64 KiB to 2 MiB; 2 MiB when it is absent. */
  readonly blockSize?: number;
}

/** Data starts on multiples of this many bytes, as blktap places it: reads of a page touch one page of the file. */
const PAGE = 4096;

/** What the table's 32-bit sector numbers can reach. In bytes. */
const REACH = 2 ** 32 * SECTOR;

/** Every block that may be written has a bitmap of one sector. */
const BITMAP_SIZE = bitmapSectors(DEFAULT_BLOCK_SIZE) * SECTOR;
const TABLE_OFFSET = FOOTER.size + HEADER.size;

/**
 * Single pass: blocks are appended as they come; the footer's copy, the header and the tables before them are written
 * last, from memory (4 bytes a block: 4 MiB for 2040 GiB in blocks of 2 MiB, 16 MiB in those of 512 KiB).
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
  readonly #blockSize: number;
  /** Data starts on a multiple of this many bytes. */
  readonly #alignment: number;
  readonly #footer: Buffer;
  /** Everything before the first block; `#table` is the BAT within. */
  readonly #metadata: Buffer;
  readonly #table: Buffer;
  /** Where the next block may start, in bytes. */
  #end: number;
  /** Up to a page of zeros, the bitmap of a full block, and the first piece of a block's data, to be written at once. */
  readonly #lead = Buffer.alloc(PAGE + PIECE);

  constructor({ sink, size, stamp, sparse, batmap, signal, blockSize = DEFAULT_BLOCK_SIZE }: DynamicVhdTarget) {
    this.size = size;
    this.#sink = sink;
    this.#sparse = sparse;
    this.#signal = signal;
    this.#blockSize = blockSize;
    const entries = Math.ceil(size / blockSize);
    const tableEnd = TABLE_OFFSET + roundUp(entries * 4, SECTOR);
    this.#footer = encodeFooter(stamp, size, FOOTER.size);
    this.#metadata = Buffer.concat([
      this.#footer,
      encodeDynamicHeader(TABLE_OFFSET, entries, blockSize),
      Buffer.alloc(tableEnd - TABLE_OFFSET, 0xff), // no block is allocated yet
      batmap ? encodeEmptyBatmap(tableEnd, entries) : Buffer.alloc(0),
    ]);
    this.#table = this.#metadata.subarray(TABLE_OFFSET, tableEnd);
    this.#end = this.#metadata.length;
    // The gaps before small blocks add up: the largest disks are only in reach of the table without them.
    const aligned = roundUp(this.#end, PAGE) + entries * (PAGE + blockSize);
    this.#alignment = aligned <= REACH ? PAGE : SECTOR;
    // A bit for each sector; those of a smaller block leave the rest of the bitmap zero.
    this.#lead.fill(0xff, PAGE - BITMAP_SIZE, PAGE - BITMAP_SIZE + blockSize / SECTOR / 8);
  }

  async write(block: Block): Promise<void> {
    const { offset, bytes } = block;
    const parts = [...(this.#sparse ? block.runs(PAGE) : [{ offset: 0, length: bytes.length }])];
    for (let start = 0; start < bytes.length; start += this.#blockSize) {
      const part = bytes.subarray(start, start + this.#blockSize);
      // Of the small blocks within one of the pump's, those that are zero are not stored.
      if (part.length < bytes.length && isZero(part)) continue;
      await this.#append(offset + start, part, clip(parts, start, part.length));
    }
  }

  /** `parts` are those to write, as positions within `bytes`. */
  async #append(offset: number, bytes: Uint8Array, parts: Iterable<Extent>): Promise<void> {
    const data = roundUp(this.#end + BITMAP_SIZE, this.#alignment);
    const gap = data - BITMAP_SIZE - this.#end;
    this.#table.writeUInt32BE((data - BITMAP_SIZE) / SECTOR, (offset / this.#blockSize) * 4);
    this.#end = data + this.#blockSize;

    const writes: Promise<void>[] = [];
    let leadLength = 0; // bytes of data that go along with the bitmap
    for (const part of parts) {
      for (const piece of pieces(part.offset, part.length)) {
        const run = bytes.subarray(piece.offset, piece.offset + piece.length);
        if (piece.offset === 0) {
          this.#lead.set(run, PAGE);
          leadLength = run.length;
        } else {
          writes.push(this.#sink.write(run, data + piece.offset));
        }
      }
    }
    const leadStart = PAGE - BITMAP_SIZE - (this.#sparse ? 0 : gap);
    const lead = this.#lead.subarray(leadStart, PAGE + leadLength);
    writes.push(this.#sink.write(lead, data - (PAGE - leadStart)));
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

/** What of the extents lies within `length` bytes from `start`, as positions from there. */
function* clip(extents: Iterable<Extent>, start: number, length: number): Generator<Extent> {
  for (const extent of extents) {
    const from = Math.max(extent.offset, start);
    const to = Math.min(extent.offset + extent.length, start + length);
    if (from < to) yield { offset: from - start, length: to - from };
  }
}
