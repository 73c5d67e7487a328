import { promisify } from 'node:util';
import { constants, inflateRaw, type ZlibOptions } from 'node:zlib';
import {
  type Detection,
  type DiskSource,
  errorKind,
  type Extent,
  FormatError,
  type ImageFile,
  type OpenImage,
  readPadded,
} from '@polyvisor/core';
import { checkedOffset, type Header, readHeader } from './header.js';
import {
  bytesPerL2Table,
  COMPRESSED,
  COMPRESSED_SECTOR,
  compressedOffsetBits,
  ENTRY,
  MAGIC,
  OFFSET_MASK,
  ZERO_CLUSTER,
} from './layout.js';
import { zstdDecompressor } from './zstd.js';

const inflate = promisify<Uint8Array, ZlibOptions, Uint8Array>(inflateRaw);

/** L2 tables kept, for readers that jump about; each is one cluster. */
const CACHED_TABLES = 16;

export async function detectQcow2(file: ImageFile): Promise<Detection> {
  if (file.size < 8) return 'no';
  const start = Buffer.alloc(8);
  await file.read(start, 0);
  if (start.readUInt32BE(0) !== MAGIC) return 'no';
  return [2, 3].includes(start.readUInt32BE(4)) ? 'yes' : 'maybe';
}

/** Where a guest cluster's data is. */
type Mapping =
  | { readonly kind: 'zero' }
  | { readonly kind: 'plain'; readonly host: number }
  | { readonly kind: 'compressed'; readonly host: number; readonly span: number };

export async function openQcow2(file: ImageFile): Promise<OpenImage> {
  const header = await readHeader(file);
  const map = await ClusterMap.open(file, header);
  const disk: DiskSource = {
    size: header.size,
    extents: (signal) => dataExtents(map, header, signal),
    read: (into, offset) => readGuest(file, map, header, into, offset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return {
    disk,
    facts: {
      version: header.version === 2 ? '2 (compat 0.10)' : '3 (compat 1.1)',
      'cluster size': header.clusterSize,
      compression: header.compression,
      snapshots: header.snapshots,
      'refcount bits': header.refcountBits,
      dirty: header.dirty,
      corrupt: header.corrupt,
    },
  };
}

/** The two-level map from guest clusters to host clusters. */
class ClusterMap {
  readonly #file: ImageFile;
  readonly #header: Header;
  readonly #l1: Buffer;
  readonly #tables = new Map<number, Promise<Buffer>>();

  private constructor(file: ImageFile, header: Header, l1: Buffer) {
    this.#file = file;
    this.#header = header;
    this.#l1 = l1;
  }

  static async open(file: ImageFile, header: Header): Promise<ClusterMap> {
    // The header's check has bounded the table by the file's own size.
    const l1 = Buffer.alloc(header.l1Size * ENTRY);
    await readPadded(file, l1, header.l1Offset);
    const map = new ClusterMap(file, header, l1);
    map.#refuseSharedTables();
    return map;
  }

  /** A table that serves two ranges would let a small file stand for a huge disk. */
  #refuseSharedTables(): void {
    const seen = new Map<number, number>([[this.#header.l1Offset, -1]]);
    for (let index = 0; index < this.#header.l1Size; index++) {
      const offset = this.#tableOffset(index);
      if (offset === undefined) continue;
      if (seen.has(offset))
        this.#fail(
          this.#header.l1Offset + index * ENTRY,
          'an L2 table is used twice',
          'tables of their own',
          String(offset),
        );
      seen.set(offset, index);
    }
  }

  #tableOffset(index: number): number | undefined {
    const entry = this.#l1.readBigUInt64BE(index * ENTRY) & OFFSET_MASK;
    if (entry === 0n) return undefined;
    return checkedOffset(
      this.#file,
      entry,
      this.#header.l1Offset + index * ENTRY,
      this.#header.clusterSize,
      this.#header.clusterSize,
      'L2 table',
    );
  }

  /** Undefined where a whole L2 table's range holds nothing. */
  async table(index: number): Promise<Buffer | undefined> {
    const offset = this.#tableOffset(index);
    if (offset === undefined) return undefined;
    let table = this.#tables.get(index);
    if (table === undefined) {
      table = this.#readTable(offset);
      table.catch(() => this.#tables.delete(index));
      if (this.#tables.size >= CACHED_TABLES) this.#tables.delete(this.#tables.keys().next().value as number);
    } else {
      this.#tables.delete(index); // re-inserted below as the youngest
    }
    this.#tables.set(index, table);
    return table;
  }

  async #readTable(offset: number): Promise<Buffer> {
    const table = Buffer.alloc(this.#header.clusterSize);
    await readPadded(this.#file, table, offset);
    return table;
  }

  /** `cluster` counts guest clusters. */
  async locate(cluster: number): Promise<Mapping> {
    const perTable = this.#header.clusterSize / ENTRY;
    const table = await this.table(Math.floor(cluster / perTable));
    return table === undefined ? { kind: 'zero' } : this.decode(table, cluster % perTable, cluster);
  }

  decode(table: Buffer, index: number, cluster: number): Mapping {
    const entry = table.readBigUInt64BE(index * ENTRY);
    if ((entry & COMPRESSED) !== 0n) return this.#decodeCompressed(entry, cluster);
    if ((entry & ZERO_CLUSTER) !== 0n && this.#header.version === 3) return { kind: 'zero' };
    const host = entry & OFFSET_MASK;
    if (host === 0n) return { kind: 'zero' };
    return {
      kind: 'plain',
      host: checkedOffset(
        this.#file,
        host,
        this.#l2Position(cluster),
        this.#header.clusterSize,
        1,
        `guest cluster ${cluster}`,
      ),
    };
  }

  #decodeCompressed(entry: bigint, cluster: number): Mapping {
    const offsetBits = BigInt(compressedOffsetBits(this.#header.clusterBits));
    const host = entry & ((1n << offsetBits) - 1n);
    const sectors = (entry & ((1n << 62n) - 1n)) >> offsetBits;
    if (host >= BigInt(this.#file.size)) {
      this.#fail(
        this.#l2Position(cluster),
        `compressed guest cluster ${cluster} lies behind the end`,
        `an offset below ${this.#file.size}`,
        String(host),
      );
    }
    const span = (Number(sectors) + 1) * COMPRESSED_SECTOR - (Number(host) % COMPRESSED_SECTOR);
    return { kind: 'compressed', host: Number(host), span: Math.min(span, this.#file.size - Number(host)) };
  }

  /** Where in the file the cluster's L2 entry is, for messages. */
  #l2Position(cluster: number): number {
    const perTable = this.#header.clusterSize / ENTRY;
    return (this.#tableOffset(Math.floor(cluster / perTable)) ?? 0) + (cluster % perTable) * ENTRY;
  }

  #fail(offset: number, what: string, expected: string, found: string): never {
    throw new FormatError('qcow2-invalid', what, { file: this.#file.path, offset, expected, found });
  }
}

async function* dataExtents(
  map: ClusterMap,
  { size, clusterSize, l1Size }: Header,
  signal?: AbortSignal,
): AsyncGenerator<Extent> {
  const perTable = clusterSize / ENTRY;
  let start = -1;
  for (let tableIndex = 0; tableIndex < l1Size; tableIndex++) {
    signal?.throwIfAborted();
    const table = await map.table(tableIndex);
    for (let index = 0; index < (table === undefined ? 1 : perTable); index++) {
      const guest = tableIndex * bytesPerL2Table(clusterSize) + index * clusterSize;
      if (guest >= size) break;
      const holdsData = table !== undefined && map.decode(table, index, tableIndex * perTable + index).kind !== 'zero';
      if (holdsData && start < 0) start = guest;
      if (!holdsData && start >= 0) {
        yield { offset: start, length: guest - start };
        start = -1;
      }
    }
  }
  if (start >= 0) yield { offset: start, length: size - start };
}

async function readGuest(
  file: ImageFile,
  map: ClusterMap,
  header: Header,
  into: Uint8Array,
  offset: number,
): Promise<void> {
  if (offset < 0 || offset + into.length > header.size) {
    throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${header.size}`);
  }
  const { clusterSize } = header;
  const work: Promise<void>[] = [];
  for (let done = 0; done < into.length;) {
    const inCluster = (offset + done) % clusterSize;
    let length = Math.min(clusterSize - inCluster, into.length - done);
    const cluster = Math.floor((offset + done) / clusterSize);
    const mapping = await map.locate(cluster);
    if (mapping.kind === 'plain') {
      // Clusters that follow each other in the file too are read at once.
      for (let next = 1; done + length < into.length; next++) {
        const following = await map.locate(cluster + next);
        if (following.kind !== 'plain' || following.host !== mapping.host + next * clusterSize) break;
        length += Math.min(clusterSize, into.length - done - length);
      }
      work.push(readPadded(file, into.subarray(done, done + length), mapping.host + inCluster));
    } else if (mapping.kind === 'compressed') {
      work.push(readCompressed(file, header, mapping, into.subarray(done, done + length), inCluster));
    } else {
      into.fill(0, done, done + length);
    }
    done += length;
  }
  await Promise.all(work);
}

async function readCompressed(
  file: ImageFile,
  header: Header,
  { host, span }: { readonly host: number; readonly span: number },
  into: Uint8Array,
  from: number,
): Promise<void> {
  const stored = Buffer.alloc(span);
  await file.read(stored, host);
  const cluster = await decompress(header, stored).catch((error: unknown) => {
    if (errorKind(error) !== undefined) throw error;
    throw new FormatError('qcow2-invalid', 'a compressed cluster cannot be decompressed', {
      file: file.path,
      offset: host,
      found: (error as Error).message,
      cause: error,
    });
  });
  if (cluster.length !== header.clusterSize) {
    throw new FormatError('qcow2-invalid', 'a compressed cluster has the wrong length', {
      file: file.path,
      offset: host,
      expected: `${header.clusterSize} bytes`,
      found: `${cluster.length}`,
    });
  }
  into.set(cluster.subarray(from, from + into.length));
}

/** The span goes on into the neighbour's data, so the stream ends where it ends; more than a cluster is refused by zlib. */
async function decompress({ compression, clusterSize }: Header, stored: Uint8Array): Promise<Uint8Array> {
  if (compression === 'zstd') return zstdDecompressor()(stored, clusterSize);
  return inflate(stored, { maxOutputLength: clusterSize, finishFlush: constants.Z_SYNC_FLUSH });
}
