import type { Extent, ImageFile } from '@polyvisor/core';
import { BITMAP, batEntries, batIndexOf, chunkRatioOf, ENTRY, MAX_FILE_SIZE, MIB, PAYLOAD } from './layout.js';
import type { Occupancy } from './occupancy.js';
import type { Metadata } from './read-metadata.js';
import type { Region } from './read-regions.js';
import type { Report } from './rules.js';

/** Bytes of the BAT in memory at once. */
const PAGE = 64 * 1024;

/** Pages kept for readers that jump about: 4 MiB. */
const CACHED_PAGES = 64;

export interface BatEntry {
  readonly state: number;
  /** In bytes from the start of the file. Exact as far as the file can reach. */
  readonly offset: number;
}

/** The block allocation table: never in memory as a whole, because it may have half a GiB. */
export class Bat {
  readonly file: ImageFile;
  readonly disk: Metadata;
  readonly blocks: number;
  readonly chunkRatio: number;
  readonly #offset: number;
  readonly #length: number;
  readonly #pages = new Map<number, Promise<Buffer>>();

  private constructor(file: ImageFile, disk: Metadata, offset: number, length: number) {
    this.file = file;
    this.disk = disk;
    this.blocks = Math.ceil(disk.size / disk.blockSize);
    this.chunkRatio = chunkRatioOf(disk.blockSize, disk.logicalSector);
    this.#offset = offset;
    this.#length = length;
  }

  /** Undefined when the region is too short for the disk, which has been reported. */
  static of(file: ImageFile, disk: Metadata, region: Region, report: Report): Bat | undefined {
    const length = batEntries(disk.size, disk.blockSize, disk.logicalSector, disk.parent !== undefined) * ENTRY.size;
    if (length <= region.length) return new Bat(file, disk, region.offset, length);
    report('vhdx-bat-size', 'the BAT is too short for the disk', {
      offset: region.offset,
      expected: `at least ${length} bytes`,
      found: String(region.length),
    });
    return undefined;
  }

  payload(block: number): Promise<BatEntry> {
    return this.#entry(batIndexOf(block, this.chunkRatio));
  }

  /** The entry of the sector bitmap that describes a payload block. */
  bitmap(block: number): Promise<BatEntry> {
    return this.#entry((Math.floor(block / this.chunkRatio) + 1) * (this.chunkRatio + 1) - 1);
  }

  async #entry(index: number): Promise<BatEntry> {
    const at = index * ENTRY.size;
    return decode(await this.#page(Math.floor(at / PAGE)), at % PAGE);
  }

  #page(index: number): Promise<Buffer> {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = this.#read(index * PAGE, Math.min(PAGE, this.#length - index * PAGE));
      page.catch(() => this.#pages.delete(index));
      if (this.#pages.size >= CACHED_PAGES) this.#pages.delete(this.#pages.keys().next().value as number);
    } else {
      this.#pages.delete(index); // re-inserted below as the youngest
    }
    this.#pages.set(index, page);
    return page;
  }

  async #read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    await this.file.read(bytes, this.#offset + at);
    return bytes;
  }

  /** The table piece by piece, without the holes of its file, which say that nothing is there. `first` counts entries. */
  async *pieces(signal?: AbortSignal): AsyncGenerator<{ readonly first: number; readonly bytes: Buffer }> {
    for await (const { offset, length } of this.#stored(signal)) {
      for (let at = offset; at < offset + length; at += PAGE) {
        signal?.throwIfAborted();
        yield { first: at / ENTRY.size, bytes: await this.#read(at, Math.min(PAGE, offset + length - at)) };
      }
    }
  }

  /** Runs of whole entries, from the start of the table, that the file stores. */
  async *#stored(signal?: AbortSignal): AsyncGenerator<Extent> {
    let passed = 0;
    for await (const { offset, length } of this.file.extents(signal)) {
      if (offset >= this.#offset + this.#length) return;
      const start = Math.max(passed, Math.floor((offset - this.#offset) / ENTRY.size) * ENTRY.size);
      const end = Math.min(this.#length, Math.ceil((offset + length - this.#offset) / ENTRY.size) * ENTRY.size);
      if (start >= end) continue;
      yield { offset: start, length: end - start };
      passed = end;
    }
  }

  /** The payload blocks that have a place in the file, in the order of the disk. */
  async *storedBlocks(
    signal?: AbortSignal,
  ): AsyncGenerator<readonly { readonly block: number; readonly offset: number }[]> {
    for await (const { first, bytes } of this.pieces(signal)) {
      const stored: { block: number; offset: number }[] = [];
      for (let at = 0; at < bytes.length; at += ENTRY.size) {
        const { state, offset } = decode(bytes, at);
        if (state < PAYLOAD.fullyPresent) continue;
        const index = first + at / ENTRY.size;
        if (!this.#isBitmap(index)) stored.push({ block: this.#blockOf(index), offset });
      }
      if (stored.length > 0) yield stored;
    }
  }

  /** Bytes of a block that the disk needs: the last one may reach beyond its end. */
  needed(block: number): number {
    return Math.min(this.disk.blockSize, this.disk.size - block * this.disk.blockSize);
  }

  #isBitmap(index: number): boolean {
    return index % (this.chunkRatio + 1) === this.chunkRatio;
  }

  #blockOf(index: number): number {
    return index - Math.floor(index / (this.chunkRatio + 1));
  }

  /**
   * Checks every entry, and that no two lead to the same place: time goes with the stored part of the table, memory with the
   * MiB of the file. Returns how many payload blocks are stored.
   */
  async check(occupancy: Occupancy, report: Report, signal?: AbortSignal): Promise<number> {
    let stored = 0;
    // The chunk that has a partially present block and whose bitmap's entry, which comes after it, was not seen yet.
    let partial: { readonly chunk: number; readonly at: number } | undefined;
    const missing = () => {
      if (partial === undefined) return;
      report('vhdx-bat-bitmap-missing', 'a payload block is partially present, and its sector bitmap is not there', {
        offset: partial.at,
        expected: `a bitmap in entry ${(partial.chunk + 1) * (this.chunkRatio + 1) - 1} of the BAT`,
        found: 'none',
      });
      partial = undefined;
    };
    for await (const { first, bytes } of this.pieces(signal)) {
      for (let at = 0; at < bytes.length; at += ENTRY.size) {
        const low = bytes.readUInt32LE(at);
        if (low === 0 && bytes.readUInt32LE(at + 4) === 0) continue;
        const index = first + at / ENTRY.size;
        const chunk = Math.floor(index / (this.chunkRatio + 1));
        const place = this.#offset + index * ENTRY.size;
        if (partial !== undefined && partial.chunk !== chunk) missing();
        const entry = decode(bytes, at);
        if ((low & ENTRY.reserved) !== 0) {
          const found = `0x${low.toString(16)}`;
          report('vhdx-bat-reserved', `reserved bits of BAT entry ${index} are set`, { offset: place, found });
        }
        if (this.#isBitmap(index)) {
          if (this.#checkBitmap(entry, index, place, occupancy, report)) partial = undefined;
        } else if (this.#checkPayload(entry, this.#blockOf(index), place, occupancy, report)) {
          stored++;
          if (entry.state === PAYLOAD.partiallyPresent) partial ??= { chunk, at: place };
        }
      }
    }
    missing();
    return stored;
  }

  /** Whether the block is stored. */
  #checkPayload(entry: BatEntry, block: number, at: number, occupancy: Occupancy, report: Report): boolean {
    const { state, offset } = entry;
    if (state === PAYLOAD.draftUnmapped) {
      report('vhdx-bat-state-draft', 'a payload block is in the state "unmapped" of a draft of the format', {
        offset: at,
      });
      return false;
    }
    if (state < PAYLOAD.draftUnmapped && state !== 4) return false; // nothing is stored, whatever the offset
    const isPartial = state === PAYLOAD.partiallyPresent;
    if (state !== PAYLOAD.fullyPresent && !(isPartial && this.disk.parent !== undefined)) {
      report('vhdx-bat-state', `payload block ${block} is in an impossible state`, {
        offset: at,
        expected: this.disk.parent === undefined ? '0 to 3, or 6' : '0 to 3, 6 or 7',
        found: isPartial ? '7 (partially present), without a parent' : String(state),
      });
      return false;
    }
    const { blockSize } = this.disk;
    if (this.#isOutside(offset, this.needed(block))) {
      this.#reportPlace(`payload block ${block}`, offset, blockSize, at, report);
      return true;
    }
    if (offset + blockSize > this.file.size) {
      report('vhdx-block-cut', `payload block ${block}, the last one, is not there as a whole`, {
        offset: at,
        expected: `a file of at least ${offset + blockSize} bytes`,
        found: `${this.file.size} bytes`,
      });
    }
    this.#take(`payload block ${block}`, offset, Math.min(blockSize, this.file.size - offset), {
      at,
      occupancy,
      report,
    });
    return true;
  }

  /** Whether the bitmap is there, or nobody will look for it. */
  #checkBitmap(entry: BatEntry, index: number, at: number, occupancy: Occupancy, report: Report): boolean {
    const { state, offset } = entry;
    if (this.disk.parent === undefined) {
      report('vhdx-bat-bitmap-unused', `BAT entry ${index} is of a sector bitmap, which the disk does not have`, {
        offset: at,
        expected: '0',
        found: `state ${state}, offset ${offset}`,
      });
      return true;
    }
    if (state === BITMAP.notPresent) return false;
    const what = `the sector bitmap of BAT entry ${index}`;
    if (state !== BITMAP.present) {
      const place = { offset: at, expected: '0 or 6', found: String(state) };
      report('vhdx-bat-bitmap-state', `${what} is in an impossible state`, place);
      return true;
    }
    if (this.#isOutside(offset, MIB)) this.#reportPlace(what, offset, MIB, at, report);
    else this.#take(what, offset, MIB, { at, occupancy, report });
    return true;
  }

  #isOutside(offset: number, length: number): boolean {
    return offset < MIB || offset + length > this.file.size || offset + length > MAX_FILE_SIZE;
  }

  #reportPlace(what: string, offset: number, length: number, at: number, report: Report): void {
    report('vhdx-bat-place', `${what} is at an impossible place`, {
      offset: at,
      expected: `between 1 MiB and the end of the file at ${this.file.size}`,
      found: `${length} bytes at ${offset}`,
    });
  }

  #take(
    what: string,
    offset: number,
    length: number,
    { at, occupancy, report }: { readonly at: number; readonly occupancy: Occupancy; readonly report: Report },
  ): void {
    const clash = occupancy.take(offset, offset + length);
    if (clash === undefined) return;
    report('vhdx-bat-overlap', `${what} overlaps another one, or a table`, {
      offset: at,
      expected: 'a place of its own',
      found: `${length} bytes at ${offset}, taken from ${clash} on`,
    });
  }
}

function decode(bytes: Buffer, at: number): BatEntry {
  const low = bytes.readUInt32LE(at);
  return { state: low & 7, offset: (bytes.readUInt32LE(at + 4) * 4096 + (low >>> 20)) * MIB };
}
