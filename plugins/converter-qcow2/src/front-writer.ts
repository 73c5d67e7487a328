import { type Block, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import { headerBytes } from './header-bytes.js';
import { bytesPerL2Table, COPIED, ENTRY, REFCOUNT_BYTES } from './layout.js';

/** Where the tables of a disk are when all of them stand in front of the data; offsets in bytes. */
export interface FrontLayout {
  readonly refcountTable: number;
  readonly refcountTableClusters: number;
  readonly refcountBlocks: number;
  readonly l1: number;
  readonly l1Size: number;
  readonly l2: number;
  readonly data: number;
}

/** Room for the tables of a disk whose every cluster holds data. */
export function frontLayout(size: number, clusterSize: number): FrontLayout {
  const perBlock = clusterSize / REFCOUNT_BYTES;
  const l1Size = Math.ceil(size / bytesPerL2Table(clusterSize));
  const l1Clusters = Math.ceil((l1Size * ENTRY) / clusterSize);
  const others = 1 + l1Clusters + l1Size + Math.ceil(size / clusterSize);
  // How many reference counts there are depends on how many clusters there are, those of the counts included.
  let blocks = 0;
  let tableClusters = 0;
  for (;;) {
    const needed = Math.ceil((others + blocks + tableClusters) / perBlock);
    const table = Math.ceil((needed * ENTRY) / clusterSize);
    if (needed <= blocks && table <= tableClusters) break;
    blocks = Math.max(blocks, needed);
    tableClusters = Math.max(tableClusters, table);
  }
  const refcountBlocks = (1 + tableClusters) * clusterSize;
  const l1 = refcountBlocks + blocks * clusterSize;
  const l2 = l1 + l1Clusters * clusterSize;
  return {
    refcountTable: clusterSize,
    refcountTableClusters: tableClusters,
    refcountBlocks,
    l1,
    l1Size,
    l2,
    data: l2 + l1Size * clusterSize,
  };
}

/**
 * Single pass, all tables in front of the data: header, refcount table, refcount blocks, L1 table, every L2 table, then the data
 * clusters in the order of the disk, without a gap. The decoder of XCP-ng's import reads from a pipe and cannot skip a
 * cluster between the last table and the data, so all tables are in use, those that map nothing too; they are holes.
 * Memory is one L2 table and one refcount block; the header comes last.
 */
export class FrontWriter implements DiskWriter {
  readonly size: number;
  readonly #sink: DiskSink;
  readonly #clusterSize: number;
  readonly #layout: FrontLayout;
  /** The L2 table that is being filled, and which one it is. */
  readonly #l2: Buffer;
  #l2Index = 0;
  #l2Used = false;
  /** Where the next data cluster goes. */
  #end: number;

  /** `size` is a multiple of the cluster size. */
  constructor(sink: DiskSink, size: number, clusterSize: number) {
    this.size = size;
    this.#sink = sink;
    this.#clusterSize = clusterSize;
    this.#layout = frontLayout(size, clusterSize);
    this.#l2 = Buffer.alloc(clusterSize);
    this.#end = this.#layout.data;
  }

  async write({ offset, bytes, runs }: Block): Promise<void> {
    const writes: Promise<void>[] = [];
    for (const run of runs(this.#clusterSize)) {
      writes.push(this.#sink.write(bytes.subarray(run.offset, run.offset + run.length), this.#end));
      for (let at = 0; at < run.length; at += this.#clusterSize) await this.#map(offset + run.offset + at);
    }
    await Promise.all(writes);
  }

  /** Gives a guest cluster the next place. */
  async #map(guest: number): Promise<void> {
    const index = Math.floor(guest / bytesPerL2Table(this.#clusterSize));
    // Offsets ascend, so a table that is left is complete.
    if (index !== this.#l2Index) await this.#writeL2();
    this.#l2Index = index;
    const entry = Math.floor(guest / this.#clusterSize) % (this.#clusterSize / ENTRY);
    this.#l2.writeBigUInt64BE(BigInt(this.#end) | COPIED, entry * ENTRY);
    this.#l2Used = true;
    this.#end += this.#clusterSize;
  }

  async #writeL2(): Promise<void> {
    if (!this.#l2Used) return;
    await this.#sink.write(this.#l2, this.#layout.l2 + this.#l2Index * this.#clusterSize);
    this.#l2.fill(0);
    this.#l2Used = false;
  }

  async finish(): Promise<void> {
    // The decoder mentioned above fails on a disk without any data, so there is one cluster of zeros at least.
    if (this.#end === this.#layout.data) await this.#map(0);
    await this.#writeL2();
    await this.#writeL1();
    await this.#writeRefcounts();
    const { l1, l1Size, refcountTable, refcountTableClusters } = this.#layout;
    const header = headerBytes({
      version: 3,
      clusterSize: this.#clusterSize,
      size: this.size,
      l1Size,
      l1Offset: l1,
      refcountTableOffset: refcountTable,
      refcountTableClusters,
      zstd: false,
    });
    await this.#sink.write(header, 0);
    await this.#sink.end(this.#end);
  }

  /** One entry for each of the L2 tables, which follow each other. */
  async #writeL1(): Promise<void> {
    const { l1, l1Size, l2 } = this.#layout;
    const table = Buffer.alloc(roundUp(l1Size * ENTRY, this.#clusterSize));
    for (let index = 0; index < l1Size; index++) {
      table.writeBigUInt64BE(BigInt(l2 + index * this.#clusterSize) | COPIED, index * ENTRY);
    }
    await this.#sink.write(table, l1);
  }

  /** Every cluster up to the last data cluster is used once. Blocks that count nothing are holes, and counted themselves. */
  async #writeRefcounts(): Promise<void> {
    const { refcountTable, refcountTableClusters, refcountBlocks, l1 } = this.#layout;
    const blocks = (l1 - refcountBlocks) / this.#clusterSize;
    const table = Buffer.alloc(refcountTableClusters * this.#clusterSize);
    for (let index = 0; index < blocks; index++) {
      table.writeBigUInt64BE(BigInt(refcountBlocks + index * this.#clusterSize), index * ENTRY);
    }
    await this.#sink.write(table, refcountTable);
    const perBlock = this.#clusterSize / REFCOUNT_BYTES;
    const used = this.#end / this.#clusterSize;
    const block = Buffer.alloc(this.#clusterSize);
    for (let at = 0; at < perBlock; at++) block.writeUInt16BE(1, at * REFCOUNT_BYTES);
    for (let index = 0; index * perBlock < used; index++) {
      block.fill(0, Math.min(perBlock, used - index * perBlock) * REFCOUNT_BYTES);
      await this.#sink.write(block, refcountBlocks + index * this.#clusterSize);
    }
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}
