import { type ImageFile, readPadded, roundUp } from '@polyvisor/core';
import { offsetOf } from './entry.js';
import { refcountTableOf } from './header.js';
import type { HeaderFields } from './header-fields.js';
import { ENTRY } from './layout.js';

/** The reference counts that the image itself keeps. */
export class StoredCounts {
  readonly #file: ImageFile;
  readonly #clusterSize: number;
  readonly #order: number;
  /** Place of the table; undefined where the header's fields for it make no sense. */
  readonly place: { readonly offset: number; readonly length: number } | undefined;
  /** The refcount table, empty where there is none. At most 8 MiB. */
  readonly table: Buffer;
  /** Clusters counted by one block. */
  readonly perBlock: number;

  private constructor(file: ImageFile, fields: HeaderFields, place: StoredCounts['place'], table: Buffer) {
    this.#file = file;
    this.#clusterSize = 2 ** fields.clusterBits;
    this.#order = fields.refcountOrder;
    this.perBlock = (this.#clusterSize * 8) / 2 ** this.#order;
    this.place = place;
    this.table = table;
  }

  static async open(file: ImageFile, fields: HeaderFields): Promise<StoredCounts> {
    const place = refcountTableOf(file, fields);
    const table = Buffer.alloc(place?.length ?? 0);
    if (place !== undefined) await readPadded(file, table, place.offset);
    return new StoredCounts(file, fields, place, table);
  }

  /** Largest count that fits. */
  get most(): number {
    return Math.min(2 ** (2 ** this.#order) - 1, 0xffff_ffff);
  }

  /** Where a block is; 0 where there is none, undefined where the table's entry cannot be one. */
  blockOffset(block: number): number | undefined {
    const at = block * ENTRY;
    if (at >= this.table.length) return 0;
    const offset = offsetOf(this.table, at);
    const sound =
      this.table.readUInt32BE(at) < 2 ** 24 &&
      (this.table.readUInt32BE(at + 4) & 0x1ff) === 0 &&
      offset % this.#clusterSize === 0 &&
      offset + this.#clusterSize <= roundUp(this.#file.size, this.#clusterSize);
    return sound ? offset : undefined;
  }

  /** Fills `into` with the counts from cluster `first` on, a multiple of 8. Counts of more than 32 bits are cut to those. */
  async load(into: Uint32Array, first: number): Promise<void> {
    const bits = 2 ** this.#order;
    for (let done = 0; done < into.length;) {
      const block = Math.floor((first + done) / this.perBlock);
      const start = (first + done) % this.perBlock;
      const count = Math.min(this.perBlock - start, into.length - done);
      const offset = this.blockOffset(block) ?? 0;
      if (offset === 0) {
        into.fill(0, done, done + count);
      } else {
        const bytes = Buffer.alloc(Math.ceil((count * bits) / 8));
        await readPadded(this.#file, bytes, offset + (start * bits) / 8);
        for (let index = 0; index < count; index++) into[done + index] = readCount(bytes, index, this.#order);
      }
      done += count;
    }
  }

  /** A block with these counts, as it stands in a file. */
  encode(counts: Uint32Array): Buffer {
    const bytes = Buffer.alloc(this.#clusterSize);
    counts.forEach((count, index) => writeCount(bytes, index, this.#order, count));
    return bytes;
  }
}

/** Widths below a byte fill it from its least significant bit; the others are big-endian. */
function readCount(bytes: Buffer, index: number, order: number): number {
  if (order < 3) {
    const bits = 2 ** order;
    const perByte = 8 / bits;
    return ((bytes[Math.floor(index / perByte)] as number) >> ((index % perByte) * bits)) & (2 ** bits - 1);
  }
  if (order === 3) return bytes[index] as number;
  if (order === 4) return bytes.readUInt16BE(index * 2);
  if (order === 5) return bytes.readUInt32BE(index * 4);
  return bytes.readUInt32BE(index * 8) === 0 ? bytes.readUInt32BE(index * 8 + 4) : 0xffff_ffff;
}

function writeCount(bytes: Buffer, index: number, order: number, count: number): void {
  if (order < 3) {
    const bits = 2 ** order;
    const at = Math.floor((index * bits) / 8);
    bytes[at] = (bytes[at] as number) | (count << ((index % (8 / bits)) * bits));
  } else if (order === 3) bytes[index] = count;
  else if (order === 4) bytes.writeUInt16BE(count, index * 2);
  else if (order === 5) bytes.writeUInt32BE(count, index * 4);
  else bytes.writeUInt32BE(count, index * 8 + 4);
}
