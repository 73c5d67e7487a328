import {
  type Block,
  BLOCK_SIZE,
  type ConvertJob,
  DefinitionError,
  type DiskSink,
  type DiskWriter,
  formatBytes,
  zstdCompress,
} from '@polyvisor/core';
import { type Compress, createCompress } from './compression.js';
import { headerBytes } from './header-bytes.js';
import { HostClusters } from './host-clusters.js';
import {
  bytesPerL2Table,
  COMPRESSED,
  COMPRESSED_SECTOR,
  compressedOffsetBits,
  COPIED,
  ENTRY,
  MAX_L1_ENTRIES,
} from './layout.js';

export interface Qcow2Options {
  readonly compat: string;
  readonly compression: 'none' | 'zlib' | 'zstd';
  readonly level?: number | undefined;
  readonly cluster: number;
  readonly preallocation: 'off' | 'metadata' | 'full';
}

/** Highest effort of each method. */
const MOST_EFFORT = { none: 19, zlib: 9, zstd: 19 } as const;

export async function createQcow2Writer(job: ConvertJob<Qcow2Options>): Promise<DiskWriter> {
  const { compat, compression, cluster, level, preallocation } = job.options;
  const most = MAX_L1_ENTRIES * bytesPerL2Table(cluster);
  if (job.size > most) {
    throw new DefinitionError(
      'disk-too-large',
      `qcow2 with clusters of ${formatBytes(cluster)} holds at most ${most} bytes (${formatBytes(most)}), the disk has ${job.size}`,
      { hint: 'choose a larger cluster, such as cluster=64k' },
    );
  }
  if (compat === '0.10' && compression === 'zstd') {
    throw new DefinitionError('options-invalid', 'qcow2: zstd cannot be stored in compat=0.10', {
      hint: 'use compression=zlib, or compat=1.1',
    });
  }
  if (level !== undefined && level > MOST_EFFORT[compression]) {
    throw new DefinitionError(
      'options-invalid',
      `qcow2: ${compression} has levels 1 to ${MOST_EFFORT[compression]}, not ${level}`,
      {
        hint: 'levels up to 19 are for compression=zstd',
      },
    );
  }
  if (compression !== 'none' && preallocation !== 'off') {
    throw new DefinitionError('options-invalid', 'qcow2: what is compressed cannot be preallocated', {
      hint: 'leave out one of compression and preallocation',
    });
  }
  if (compression === 'zstd') await zstdCompress(new Uint8Array(1), 1); // says at once if it cannot be done here
  return new Qcow2Writer(job);
}

/**
 * Single pass. Data clusters, the L2 tables that map them and the refcount blocks that count them are appended as blocks
 * arrive; the L1 table, the rest of the refcounts and the header come last, so an unfinished file is never taken for an
 * image. Memory is one L2 table, one refcount block and 8 bytes for each L1 entry.
 */
class Qcow2Writer implements DiskWriter {
  readonly size: number;
  readonly #sink: DiskSink;
  readonly #options: Qcow2Options;
  readonly #clusterSize: number;
  readonly #host: HostClusters;
  readonly #compress: Compress | undefined;
  readonly #l1: BigUint64Array;
  readonly #l2: Buffer;
  /** L1 index of the table in `#l2`; none before the first block. */
  #l1Index = -1;
  /** Guest offset up to which clusters are allocated, where all of them are to be. */
  #filled = 0;

  constructor({ size, sink, options, deflater }: ConvertJob<Qcow2Options>) {
    this.size = size;
    this.#sink = sink;
    this.#options = options;
    this.#clusterSize = options.cluster;
    this.#host = new HostClusters(sink, options.cluster);
    this.#l1 = new BigUint64Array(Math.ceil(size / bytesPerL2Table(options.cluster)));
    this.#l2 = Buffer.alloc(options.cluster);
    this.#compress = createCompress(options.compression, options.level, options.cluster, deflater);
  }

  prepare(block: Block): void {
    if (this.#compress === undefined) return;
    // A failure shows again when the result is wanted.
    for (const start of this.#clusters(block)) this.#compress(block, start).catch(() => undefined);
  }

  async write(block: Block): Promise<void> {
    if (this.#compress === undefined) await this.#writeRuns(block);
    else await this.#writeCompressed(block, this.#compress);
    await this.#host.flush();
  }

  /** Neighbouring clusters get neighbouring places and one write. */
  async #writeRuns({ offset, bytes, runs }: Block): Promise<void> {
    const writes: Promise<void>[] = [];
    for (const run of runs(this.#clusterSize)) {
      await this.#fillTo(offset + run.offset);
      const clusters = Math.ceil(run.length / this.#clusterSize);
      const host = this.#host.allocate(clusters);
      const writing = this.#sink.write(bytes.subarray(run.offset, run.offset + run.length), host);
      writing.catch(() => undefined); // waited for below, unless a table cannot be written either
      writes.push(writing);
      await this.#mapRun(offset + run.offset, clusters, host);
    }
    await Promise.all(writes);
  }

  async #mapRun(guest: number, clusters: number, host: number): Promise<void> {
    for (let n = 0; n < clusters; n++) {
      const at = n * this.#clusterSize;
      await this.#select(guest + at);
      this.#map(guest + at, BigInt(host + at) | COPIED);
    }
    this.#filled = guest + clusters * this.#clusterSize;
  }

  /** With preallocation, gives clusters to what holds no data, one L2 table's worth at a time. */
  async #fillTo(guest: number): Promise<void> {
    const { preallocation } = this.#options;
    if (preallocation === 'off') return;
    const perTable = bytesPerL2Table(this.#clusterSize);
    while (this.#filled < guest) {
      const end = Math.min(guest, (this.#l1IndexOf(this.#filled) + 1) * perTable);
      const clusters = Math.ceil((end - this.#filled) / this.#clusterSize);
      await this.#select(this.#filled); // its own table comes first, so that the clusters follow each other
      const host = this.#host.allocate(clusters);
      await this.#mapRun(this.#filled, clusters, host);
      if (preallocation === 'full') await this.#writeZeros(host, clusters * this.#clusterSize);
      await this.#host.flush();
    }
  }

  async #writeZeros(host: number, length: number): Promise<void> {
    const zeros = new Uint8Array(Math.min(length, BLOCK_SIZE));
    for (let at = 0; at < length; at += zeros.length) {
      await this.#sink.write(zeros.subarray(0, Math.min(zeros.length, length - at)), host + at);
    }
  }

  /** Compressed clusters are packed byte by byte, in guest order; those of a block go out in one write. */
  async #writeCompressed(block: Block, compress: Compress): Promise<void> {
    let gathered: Uint8Array[] = [];
    let gatheredAt = 0;
    const flush = async () => {
      if (gathered.length > 0) await this.#sink.write(Buffer.concat(gathered), gatheredAt);
      gathered = [];
    };
    for (const start of this.#clusters(block)) {
      const guest = block.offset + start;
      if (this.#l1IndexOf(guest) !== this.#l1Index) await flush(); // the table comes in between
      await this.#select(guest);
      const data = await compress(block, start);
      if (data.length >= this.#clusterSize) {
        // It did not get smaller: stored as it is.
        await flush();
        const host = this.#host.allocate(1);
        await this.#sink.write(block.bytes.subarray(start, start + this.#clusterSize), host);
        this.#map(guest, BigInt(host) | COPIED);
      } else {
        const host = this.#host.allocateBytes(data.length);
        if (gathered.length === 0) gatheredAt = host;
        gathered.push(data);
        this.#map(guest, this.#compressedEntry(host, data.length));
      }
    }
    await flush();
  }

  #compressedEntry(host: number, length: number): bigint {
    const sectors = Math.floor((host + length - 1) / COMPRESSED_SECTOR) - Math.floor(host / COMPRESSED_SECTOR);
    const offsetBits = compressedOffsetBits(Math.log2(this.#clusterSize));
    return COMPRESSED | (BigInt(sectors) << BigInt(offsetBits)) | BigInt(host);
  }

  /** Where the clusters that hold data start within the block. */
  *#clusters(block: Block): Generator<number> {
    for (const run of block.runs(this.#clusterSize)) {
      for (let start = run.offset; start < run.offset + run.length; start += this.#clusterSize) yield start;
    }
  }

  #l1IndexOf(guest: number): number {
    return Math.floor(guest / bytesPerL2Table(this.#clusterSize));
  }

  /** Makes the L2 table that maps `guest` the one in memory. Offsets ascend, so a table that is left is complete. */
  async #select(guest: number): Promise<void> {
    const index = this.#l1IndexOf(guest);
    if (index === this.#l1Index) return;
    await this.#writeL2();
    this.#l1Index = index;
  }

  #map(guest: number, entry: bigint): void {
    const index = Math.floor(guest / this.#clusterSize) % (this.#clusterSize / ENTRY);
    this.#l2.writeBigUInt64BE(entry, index * ENTRY);
  }

  async #writeL2(): Promise<void> {
    if (this.#l1Index < 0) return;
    const offset = this.#host.allocate(1);
    this.#l1[this.#l1Index] = BigInt(offset) | COPIED;
    await this.#sink.write(this.#l2, offset);
    this.#l2.fill(0);
  }

  async finish(): Promise<void> {
    await this.#fillTo(this.size);
    await this.#writeL2();
    const l1Clusters = Math.ceil((this.#l1.length * ENTRY) / this.#clusterSize);
    const l1Offset = this.#host.allocate(l1Clusters);
    const l1 = Buffer.alloc(l1Clusters * this.#clusterSize);
    this.#l1.forEach((entry, index) => l1.writeBigUInt64BE(entry, index * ENTRY));
    await this.#sink.write(l1, l1Offset);
    const { tableOffset, tableClusters, fileSize } = await this.#host.finish();
    const header = headerBytes({
      version: this.#options.compat === '0.10' ? 2 : 3,
      clusterSize: this.#clusterSize,
      size: this.size,
      l1Size: this.#l1.length,
      l1Offset,
      refcountTableOffset: tableOffset,
      refcountTableClusters: tableClusters,
      zstd: this.#options.compression === 'zstd',
    });
    await this.#sink.write(header, 0);
    await this.#sink.end(fileSize);
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}
