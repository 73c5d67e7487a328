import { promisify } from 'node:util';
import { constants, inflateRaw, type ZlibOptions } from 'node:zlib';
import { errorKind, FormatError, type ImageFile, slots, zstdDecompress } from '@polyvisor/core';
import type { Header } from './header.js';

const inflate = promisify<Uint8Array, ZlibOptions, Uint8Array>(inflateRaw);

/** Decompressed clusters kept: so many bytes of them, or two. A reader that takes small steps needs the last one again. */
const CACHED_BYTES = 4 * 1024 * 1024;

/** Most bytes of the file that are read at once for several clusters. */
const MOST_READ = 4 * 1024 * 1024;

/** Where a compressed cluster is in the file, and which part of it is wanted where. */
export interface Wanted {
  readonly host: number;
  readonly span: number;
  readonly into: Uint8Array;
  /** Position within the cluster of the first byte that is wanted. */
  readonly from: number;
}

/** Reads compressed clusters: neighbours with one read, each decompressed once however small the steps. */
export class CompressedClusters {
  readonly #file: ImageFile;
  readonly #header: Header;
  readonly #inSlot = slots(8);
  /** By place and span, the one that was used last at the end. */
  readonly #cache = new Map<string, Promise<Uint8Array>>();

  constructor(file: ImageFile, header: Header) {
    this.#file = file;
    this.#header = header;
  }

  /** Fills all that is wanted, or rejects. */
  async read(wanted: readonly Wanted[]): Promise<void> {
    const work: Promise<void>[] = [];
    for (const group of groups(wanted)) {
      const first = group[0] as Wanted;
      // What is in memory needs no reading; the others of a group are read together.
      let stored: Promise<Buffer> | undefined;
      for (const piece of group) {
        const cluster = this.#cluster(piece, async () => {
          stored ??= this.#stored(first.host, groupEnd(group) - first.host);
          const start = piece.host - first.host;
          return (await stored).subarray(start, start + piece.span);
        });
        work.push(cluster.then((bytes) => piece.into.set(bytes.subarray(piece.from, piece.from + piece.into.length))));
      }
    }
    const results = await Promise.allSettled(work);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #stored(host: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    await this.#file.read(bytes, host);
    return bytes;
  }

  #cluster({ host, span }: Wanted, stored: () => Promise<Buffer>): Promise<Uint8Array> {
    const key = `${host}+${span}`;
    let cluster = this.#cache.get(key);
    if (cluster === undefined) {
      cluster = this.#inSlot(async () => this.#decompress(await stored(), host));
      cluster.catch(() => this.#cache.delete(key));
      const most = Math.max(2, CACHED_BYTES / this.#header.clusterSize);
      if (this.#cache.size >= most) this.#cache.delete(this.#cache.keys().next().value as string);
    } else {
      this.#cache.delete(key); // re-inserted below as the youngest
    }
    this.#cache.set(key, cluster);
    return cluster;
  }

  async #decompress(stored: Uint8Array, host: number): Promise<Uint8Array> {
    const { clusterSize } = this.#header;
    const fail = (what: string, found: string, cause?: unknown) =>
      new FormatError('qcow2-invalid', what, {
        file: this.#file.path,
        offset: host,
        expected: `${clusterSize} bytes`,
        found,
        cause,
      });
    const cluster = await this.#expand(stored).catch((error: unknown) => {
      if (errorKind(error) === 'environment') throw error;
      throw fail('a compressed cluster cannot be decompressed', (error as Error).message, error);
    });
    if (cluster.length !== clusterSize) throw fail('a compressed cluster has the wrong length', `${cluster.length}`);
    return cluster;
  }

  /** The span goes on into the neighbour's data, so the stream ends where it ends; more than a cluster is refused. */
  async #expand(stored: Uint8Array): Promise<Uint8Array> {
    const { compression, clusterSize } = this.#header;
    if (compression === 'zstd') return zstdDecompress(stored, clusterSize);
    return inflate(stored, {
      maxOutputLength: clusterSize,
      finishFlush: constants.Z_SYNC_FLUSH,
      chunkSize: clusterSize + 64, // one buffer, and room for zlib to see that nothing follows
    });
  }
}

function groupEnd(group: readonly Wanted[]): number {
  return group.reduce((end, { host, span }) => Math.max(end, host + span), 0);
}

/** Cuts a list into parts whose stored bytes follow each other without a gap. */
function* groups(wanted: readonly Wanted[]): Generator<Wanted[]> {
  let group: Wanted[] = [];
  let start = 0;
  let end = 0;
  for (const piece of wanted) {
    const joins = piece.host >= start && piece.host <= end && piece.host + piece.span - start <= MOST_READ;
    if (group.length > 0 && !joins) {
      yield group;
      group = [];
    }
    if (group.length === 0) {
      start = piece.host;
      end = start;
    }
    group.push(piece);
    end = Math.max(end, piece.host + piece.span);
  }
  if (group.length > 0) yield group;
}
