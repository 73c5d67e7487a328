import {
  type Block,
  type ConvertJob,
  DefinitionError,
  type DiskSink,
  type DiskWriter,
  formatBytes,
  padded,
  rawStream,
} from '@polyvisor/core';
import { HostClusters } from './host-clusters.js';
import {
  bytesPerL2Table,
  COMPRESSED,
  COMPRESSED_SECTOR,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
  compressedOffsetBits,
  COPIED,
  ENTRY,
  HEADER,
  INCOMPATIBLE,
  MAGIC,
  MAX_L1_ENTRIES,
  REFCOUNT_ORDER,
  VERSION_2_HEADER_LENGTH,
  VERSION_3_HEADER_LENGTH,
} from './layout.js';
import { zstdCompressor } from './zstd.js';

export interface Qcow2Options {
  readonly compat: string;
  readonly compression: 'none' | 'zlib' | 'zstd';
  readonly level: number;
  readonly cluster: number;
}

/** Compresses `length` bytes of a block from `start`, zero-padded at the end of the disk. */
type Compress = (block: Block, start: number) => Promise<Uint8Array>;

export async function createQcow2Writer(job: ConvertJob<Qcow2Options>): Promise<DiskWriter> {
  const { compat, compression, cluster } = job.options;
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
  return Promise.resolve(new Qcow2Writer(job));
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

  constructor({ size, sink, options, deflater }: ConvertJob<Qcow2Options>) {
    this.size = size;
    this.#sink = sink;
    this.#options = options;
    this.#clusterSize = options.cluster;
    this.#host = new HostClusters(sink, options.cluster);
    this.#l1 = new BigUint64Array(Math.ceil(size / bytesPerL2Table(options.cluster)));
    this.#l2 = Buffer.alloc(options.cluster);
    if (options.compression === 'zlib') {
      this.#compress = async (block, start) =>
        rawStream(await deflater.deflate(block, start, options.cluster, options.level));
    } else if (options.compression === 'zstd') {
      const compress = zstdCompressor();
      this.#compress = (block, start) => compress(padded(block.bytes, start, options.cluster));
    }
  }

  prepare(block: Block): void {
    if (this.#options.compression !== 'zlib') return;
    for (const start of this.#clusters(block)) void this.#compress?.(block, start);
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
      const clusters = Math.ceil(run.length / this.#clusterSize);
      let host = this.#host.allocate(clusters);
      const writing = this.#sink.write(bytes.subarray(run.offset, run.offset + run.length), host);
      writing.catch(() => undefined); // waited for below, unless a table cannot be written either
      writes.push(writing);
      for (let n = 0; n < clusters; n++, host += this.#clusterSize) {
        const guest = offset + run.offset + n * this.#clusterSize;
        await this.#select(guest);
        this.#map(guest, BigInt(host) | COPIED);
      }
    }
    await Promise.all(writes);
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
    await this.#writeL2();
    const l1Clusters = Math.ceil((this.#l1.length * ENTRY) / this.#clusterSize);
    const l1Offset = this.#host.allocate(l1Clusters);
    const l1 = Buffer.alloc(l1Clusters * this.#clusterSize);
    this.#l1.forEach((entry, index) => l1.writeBigUInt64BE(entry, index * ENTRY));
    await this.#sink.write(l1, l1Offset);
    const { tableOffset, tableClusters, fileSize } = await this.#host.finish();
    await this.#sink.write(this.#header(l1Offset, tableOffset, tableClusters), 0);
    await this.#sink.end(fileSize);
  }

  #header(l1Offset: number, tableOffset: number, tableClusters: number): Buffer {
    const version = this.#options.compat === '0.10' ? 2 : 3;
    const length = version === 2 ? VERSION_2_HEADER_LENGTH : VERSION_3_HEADER_LENGTH;
    // Eight zero bytes behind the header are the extension that ends the list of extensions.
    const header = Buffer.alloc(length + 8);
    header.writeUInt32BE(MAGIC, HEADER.magic);
    header.writeUInt32BE(version, HEADER.version);
    header.writeUInt32BE(Math.log2(this.#clusterSize), HEADER.clusterBits);
    header.writeBigUInt64BE(BigInt(this.size), HEADER.size);
    header.writeUInt32BE(this.#l1.length, HEADER.l1Size);
    header.writeBigUInt64BE(BigInt(l1Offset), HEADER.l1TableOffset);
    header.writeBigUInt64BE(BigInt(tableOffset), HEADER.refcountTableOffset);
    header.writeUInt32BE(tableClusters, HEADER.refcountTableClusters);
    if (version === 3) {
      const zstd = this.#options.compression === 'zstd';
      header.writeBigUInt64BE(zstd ? INCOMPATIBLE.compressionType : 0n, HEADER.incompatibleFeatures);
      header.writeUInt32BE(REFCOUNT_ORDER, HEADER.refcountOrder);
      header.writeUInt32BE(length, HEADER.headerLength);
      header.writeUInt8(zstd ? COMPRESSION_ZSTD : COMPRESSION_ZLIB, HEADER.compressionType);
    }
    return header;
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}
