import { FormatError, type ImageFile, readPadded } from '@polyvisor/core';
import { reusedTooOften } from './compressed-reuse.js';
import {
  decodeUnit,
  type EntryLayout,
  entryProblem,
  isCompressed,
  l1Problem,
  type Mapping,
  offsetOf,
  unitOf,
} from './entry.js';
import type { Header } from './header.js';
import { bytesPerL2Table, ENTRY } from './layout.js';
import { MetadataPlaces } from './metadata-places.js';

/** L2 tables kept, for readers that jump about: so many bytes of them, or two. */
const CACHED_BYTES = 4 * 1024 * 1024;
const MOST_CACHED = 64;

/** A stretch of the guest's disk that is all of one kind and, where it is stored as it is, in one place. */
export interface Run extends Mapping {
  /** Guest bytes. `host` is where the first of them is; of a compressed cluster, where its stream starts. */
  readonly length: number;
}

/** The two-level map from guest clusters to host clusters. A table is checked as a whole when it is read. */
export class ClusterMap {
  readonly #file: ImageFile;
  readonly #layout: EntryLayout;
  readonly #l1: Buffer;
  readonly #places: MetadataPlaces;
  /** By L1 index, the one that was used last at the end. */
  readonly #tables = new Map<number, Promise<Buffer>>();
  /** Guest bytes that one L2 table maps. */
  readonly #perTable: number;

  private constructor(file: ImageFile, layout: EntryLayout, l1: Buffer, places: MetadataPlaces) {
    this.#file = file;
    this.#layout = layout;
    this.#l1 = l1;
    this.#places = places;
    this.#perTable = bytesPerL2Table(layout.clusterSize, layout.entrySize);
  }

  static async open(file: ImageFile, header: Header): Promise<ClusterMap> {
    const layout = { ...header, fileSize: file.size };
    // The header's rules have bounded the table by the file's own size.
    const l1 = Buffer.alloc(header.l1Size * ENTRY);
    await readPadded(file, l1, header.l1Offset);
    for (let at = 0; at < l1.length; at += ENTRY) {
      const problem = l1Problem(layout, l1, at);
      if (problem !== undefined && problem.harmless !== true) {
        throw new FormatError('qcow2-invalid', problem.message, {
          file: file.path,
          offset: header.l1Offset + at,
          expected: problem.expected,
          found: problem.found,
        });
      }
    }
    return new ClusterMap(file, layout, l1, await MetadataPlaces.gather(file, header, l1));
  }

  get clusterSize(): number {
    return this.#layout.clusterSize;
  }

  /** What is at a guest offset, and for how far: at most `length`, and no further than what one L2 table maps. */
  async run(offset: number, length: number): Promise<Run> {
    const index = Math.floor(offset / this.#perTable);
    const host = offsetOf(this.#l1, index * ENTRY);
    if (host === 0) return this.#unmapped(offset, length, index);
    return this.#runIn(await this.#table(index, host), offset, length);
  }

  /** All the tables that are missing in a row, as one run. */
  #unmapped(offset: number, length: number, index: number): Run {
    let next = index + 1;
    while (next * this.#perTable < offset + length && offsetOf(this.#l1, next * ENTRY) === 0) next++;
    return { kind: 'unallocated', host: 0, span: 0, length: Math.min(length, next * this.#perTable - offset) };
  }

  #runIn(table: Buffer, offset: number, length: number): Run {
    const inTable = offset % this.#perTable;
    const most = Math.min(length, this.#perTable - inTable);
    const unit = unitOf(this.#layout);
    const index = Math.floor(inTable / unit);
    const first = decodeUnit(this.#layout, table, index);
    if (first.kind === 'compressed') {
      const { clusterSize } = this.#layout;
      return { ...first, length: Math.min(most, clusterSize - (inTable % clusterSize)) };
    }
    let end = (index + 1) * unit;
    for (let next = index + 1; end - inTable < most; next++, end += unit) {
      const following = decodeUnit(this.#layout, table, next);
      if (following.kind !== first.kind) break;
      if (first.kind === 'plain' && following.host !== first.host + (next - index) * unit) break;
    }
    return { ...first, host: first.host + (inTable % unit), length: Math.min(most, end - inTable) };
  }

  async #table(index: number, host: number): Promise<Buffer> {
    let table = this.#tables.get(index);
    if (table === undefined) {
      table = this.#readTable(host);
      table.catch(() => this.#tables.delete(index));
      const most = Math.max(2, Math.min(MOST_CACHED, CACHED_BYTES / this.#layout.clusterSize));
      if (this.#tables.size >= most) this.#tables.delete(this.#tables.keys().next().value as number);
    } else {
      this.#tables.delete(index); // re-inserted below as the youngest
    }
    this.#tables.set(index, table);
    return table;
  }

  async #readTable(host: number): Promise<Buffer> {
    const layout = this.#layout;
    const table = Buffer.alloc(layout.clusterSize);
    await readPadded(this.#file, table, host);
    const refuse = (at: number, what: string, expected: string, found: string): never => {
      throw new FormatError('qcow2-invalid', what, { file: this.#file.path, offset: host + at, expected, found });
    };
    for (let at = 0; at < table.length; at += layout.entrySize) {
      const problem = entryProblem(layout, table, at);
      if (problem !== undefined && problem.harmless !== true)
        refuse(at, problem.message, problem.expected, problem.found);
      const data = isCompressed(table, at) ? 0 : offsetOf(table, at);
      const inside = data === 0 ? undefined : this.#places.at(data);
      if (inside !== undefined) refuse(at, `a data cluster lies in ${inside}`, 'a place of its own', `${data}`);
    }
    const reused = reusedTooOften(layout, table);
    if (reused !== undefined) {
      refuse(
        reused,
        'one compressed cluster stands for more than a thousand',
        'a cluster of its own',
        'a decompression bomb',
      );
    }
    return table;
  }
}
