import { type DiskSink, roundUp } from '@polyvisor/core';
import { DESCRIPTOR_SECTORS } from './descriptor.js';
import { directorySize, refuseOversize } from './limits.js';
import { ENTRIES_PER_TABLE, FLAG, HEADER, MAGIC, NEWLINES, SECTOR, TABLE_SECTORS, TABLE_SIZE } from './layout.js';

/** Grains start on a multiple of this many sectors, as every writer places them. */
const ALIGNMENT_SECTORS = 128;

export interface SparseExtentOptions {
  readonly sink: DiskSink;
  /** Of the extent, in bytes, in whole grains. */
  readonly size: number;
  readonly grainSize: number;
  /** Embedded behind the header; absent in the parts of a split disk. */
  readonly descriptor?: Buffer;
}

/**
 * Single pass: the places of all tables are known before, so grains are appended as they come, and a table follows, twice, when
 * the next one begins. The directories and the header are last.
 *
 *     header | [ descriptor ] | copy of the directory | copies of the tables | directory | tables | { grains }
 *
 * Memory: one table while data arrives, 4 bytes per 32 MiB at the end.
 */
export class SparseExtentWriter {
  readonly #sink: DiskSink;
  readonly #size: number;
  readonly #grainSize: number;
  readonly #descriptor: Buffer | undefined;
  readonly #tables: number;
  readonly #directorySize: number;
  /** In sectors. */
  readonly #redundantAt: number;
  readonly #directoryAt: number;
  readonly #overhead: number;
  /** Where the next grain goes, in bytes. */
  #end: number;
  #table: Buffer | undefined;
  #tableIndex = -1;

  constructor({ sink, size, grainSize, descriptor }: SparseExtentOptions) {
    this.#sink = sink;
    this.#size = size;
    this.#grainSize = grainSize;
    this.#descriptor = descriptor;
    this.#tables = Math.ceil(size / (ENTRIES_PER_TABLE * grainSize));
    this.#directorySize = directorySize(size, grainSize);
    const sectors = this.#directorySize / SECTOR + this.#tables * TABLE_SECTORS;
    this.#redundantAt = descriptor === undefined ? 1 : 1 + DESCRIPTOR_SECTORS;
    this.#directoryAt = this.#redundantAt + sectors;
    this.#overhead = roundUp(this.#directoryAt + sectors, ALIGNMENT_SECTORS);
    this.#end = this.#overhead * SECTOR;
  }

  /** Stores neighbouring grains at `offset` of the extent, a multiple of the grain; the last one may be cut short. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    const place = this.#end;
    const length = roundUp(bytes.length, this.#grainSize);
    refuseOversize(place + length, 'data');
    this.#end += length;
    for (let done = 0; done < length; done += this.#grainSize) {
      await this.#map((offset + done) / this.#grainSize, (place + done) / SECTOR);
    }
    await this.#sink.write(bytes, place);
  }

  async finish(): Promise<void> {
    await this.#endTable();
    await this.#writeDirectory(this.#redundantAt);
    await this.#writeDirectory(this.#directoryAt);
    if (this.#descriptor !== undefined) await this.#sink.write(this.#descriptor, SECTOR);
    await this.#sink.write(this.#header(), 0);
    await this.#sink.end(this.#end);
  }

  async #map(grain: number, sector: number): Promise<void> {
    const index = Math.floor(grain / ENTRIES_PER_TABLE);
    if (index !== this.#tableIndex) {
      await this.#endTable();
      this.#tableIndex = index;
    }
    this.#table ??= Buffer.alloc(TABLE_SIZE);
    this.#table.writeUInt32LE(sector, (grain % ENTRIES_PER_TABLE) * 4);
  }

  /** Grains ascend, so a table that is left is complete. A table without grains is a hole of the file. */
  async #endTable(): Promise<void> {
    const table = this.#table;
    if (table === undefined) return;
    this.#table = undefined;
    await this.#sink.write(table, this.#tableAt(this.#redundantAt, this.#tableIndex) * SECTOR);
    await this.#sink.write(table, this.#tableAt(this.#directoryAt, this.#tableIndex) * SECTOR);
  }

  /** A directory is followed by its tables. */
  #tableAt(directoryAt: number, index: number): number {
    return directoryAt + this.#directorySize / SECTOR + index * TABLE_SECTORS;
  }

  /** Every table has its place, also those without grains, as in files of VMware and QEMU. */
  async #writeDirectory(at: number): Promise<void> {
    const directory = Buffer.alloc(this.#directorySize);
    for (let index = 0; index < this.#tables; index++) directory.writeUInt32LE(this.#tableAt(at, index), index * 4);
    await this.#sink.write(directory, at * SECTOR);
  }

  #header(): Buffer {
    const header = Buffer.alloc(HEADER.size);
    header.writeUInt32LE(MAGIC, HEADER.magic);
    header.writeUInt32LE(1, HEADER.version);
    header.writeUInt32LE(FLAG.newlinesValid | FLAG.redundantTables, HEADER.flags);
    header.writeBigUInt64LE(BigInt(this.#size / SECTOR), HEADER.capacity);
    header.writeBigUInt64LE(BigInt(this.#grainSize / SECTOR), HEADER.grainSize);
    if (this.#descriptor !== undefined) {
      header.writeBigUInt64LE(1n, HEADER.descriptorOffset);
      header.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), HEADER.descriptorSize);
    }
    header.writeUInt32LE(ENTRIES_PER_TABLE, HEADER.entriesPerTable);
    header.writeBigUInt64LE(BigInt(this.#redundantAt), HEADER.redundantDirectory);
    header.writeBigUInt64LE(BigInt(this.#directoryAt), HEADER.directory);
    header.writeBigUInt64LE(BigInt(this.#overhead), HEADER.overhead);
    header.writeUInt32LE(NEWLINES, HEADER.newlines);
    return header;
  }
}
