import { type DiskSink, roundUp } from '@polyvisor/core';
import { ENTRY, REFCOUNT_BYTES } from './layout.js';

/**
 * Hands out the file's clusters from front to back and counts references to them. A refcount block is written as soon as
 * the end of the file has passed what it counts, so memory is one block plus 8 bytes for each block written.
 */
export class HostClusters {
  readonly #sink: DiskSink;
  readonly #clusterSize: number;
  /** Clusters counted by one refcount block. */
  readonly #perBlock: number;
  /** First free byte. */
  #end: number;
  #counts: Uint16Array;
  /** Which refcount block `#counts` is. */
  #block = 0;
  /** Blocks that no later cluster can change, still to be written. */
  #complete: { readonly block: number; readonly counts: Uint16Array }[] = [];
  /** Host offset of each refcount block written. */
  readonly #blockOffsets: number[] = [];

  constructor(sink: DiskSink, clusterSize: number) {
    this.#sink = sink;
    this.#clusterSize = clusterSize;
    this.#perBlock = clusterSize / REFCOUNT_BYTES;
    this.#counts = new Uint16Array(this.#perBlock);
    this.#end = 0;
    this.allocate(1); // the header
  }

  /** Takes whole clusters at the end of the file, each referenced once. Returns their host offset. */
  allocate(clusters: number): number {
    const offset = roundUp(this.#end, this.#clusterSize);
    this.#end = offset + clusters * this.#clusterSize;
    for (let n = 0; n < clusters; n++) this.#reference(offset / this.#clusterSize + n);
    return offset;
  }

  /**
   * Takes bytes for one compressed cluster right behind the last ones, and counts it in every cluster it touches. A count
   * cannot overflow: no compressor makes 65 536 clusters fit into one.
   */
  allocateBytes(length: number): number {
    const offset = this.#end;
    this.#end += length;
    const last = Math.floor((this.#end - 1) / this.#clusterSize);
    for (let cluster = Math.floor(offset / this.#clusterSize); cluster <= last; cluster++) this.#reference(cluster);
    return offset;
  }

  #reference(cluster: number): void {
    const block = Math.floor(cluster / this.#perBlock);
    if (block !== this.#block) {
      this.#complete.push({ block: this.#block, counts: this.#counts });
      this.#counts = new Uint16Array(this.#perBlock);
      this.#block = block;
    }
    const index = cluster % this.#perBlock;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** Writes the refcount blocks that are complete. Each takes a cluster of its own, which may complete another. */
  async flush(): Promise<void> {
    for (let next = this.#complete.shift(); next !== undefined; next = this.#complete.shift()) {
      await this.#writeBlock(next.block, next.counts, this.allocate(1));
    }
  }

  /**
   * Writes the remaining refcount blocks and the refcount table, which count themselves too. Nothing can be allocated
   * afterwards.
   */
  async finish(): Promise<{ readonly tableOffset: number; readonly tableClusters: number; readonly fileSize: number }> {
    await this.flush();
    const used = Math.ceil(this.#end / this.#clusterSize);
    const written = this.#blockOffsets.length;
    // How many of them there are depends on how many clusters there are, these included.
    let blocks = 0;
    let tableClusters = 0;
    for (;;) {
      const needed = Math.ceil((used + blocks + tableClusters) / this.#perBlock) - written;
      const table = Math.ceil(((written + needed) * ENTRY) / this.#clusterSize);
      if (needed <= blocks && table <= tableClusters) break;
      blocks = Math.max(blocks, needed);
      tableClusters = Math.max(tableClusters, table);
    }
    const blocksOffset = this.allocate(blocks);
    const tableOffset = this.allocate(tableClusters);
    const remaining = [...this.#complete, { block: this.#block, counts: this.#counts }];
    for (let n = 0; n < blocks; n++) {
      const counts = remaining.find(({ block }) => block === written + n)?.counts ?? new Uint16Array(this.#perBlock);
      await this.#writeBlock(written + n, counts, blocksOffset + n * this.#clusterSize);
    }
    const table = Buffer.alloc(tableClusters * this.#clusterSize);
    this.#blockOffsets.forEach((offset, index) => table.writeBigUInt64BE(BigInt(offset), index * ENTRY));
    await this.#sink.write(table, tableOffset);
    return { tableOffset, tableClusters, fileSize: this.#end };
  }

  async #writeBlock(block: number, counts: Uint16Array, offset: number): Promise<void> {
    this.#blockOffsets[block] = offset;
    const bytes = Buffer.alloc(this.#clusterSize);
    counts.forEach((count, index) => bytes.writeUInt16BE(count, index * REFCOUNT_BYTES));
    await this.#sink.write(bytes, offset);
  }
}
