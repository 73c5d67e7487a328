import { FormatError, type ImageFile, readPadded } from '@polyvisor/core';
import { offsetOf } from './entry.js';
import type { Header } from './header.js';
import { ENTRY } from './layout.js';

interface Range {
  readonly what: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Where the image's own tables are in the file, so that nothing else is taken from there. A table that serves two
 * ranges would let a small file stand for a huge disk; one that lies in another would mean two things at once. Memory
 * is 8 bytes for each L2 table and refcount block.
 */
export class MetadataPlaces {
  readonly #ranges: readonly Range[];
  /** Host offsets, ascending. */
  readonly #tables: Float64Array;
  readonly #blocks: Float64Array;

  private constructor(ranges: readonly Range[], tables: Float64Array, blocks: Float64Array) {
    this.#ranges = ranges;
    this.#tables = tables;
    this.#blocks = blocks;
  }

  /** Refuses tables that overlap. The L1 entries are sound. */
  static async gather(file: ImageFile, header: Header, l1: Buffer): Promise<MetadataPlaces> {
    const { clusterSize, l1Offset, refcountTable } = header;
    const refuse = (offset: number, what: string, found: number): never => {
      throw new FormatError('qcow2-invalid', what, {
        file: file.path,
        offset,
        expected: 'a place of its own',
        found: `${found}`,
      });
    };
    const ranges: Range[] = [
      { what: 'the header', start: 0, end: clusterSize },
      { what: 'the L1 table', start: l1Offset, end: l1Offset + Math.max(l1.length, 1) },
    ];
    if (refcountTable !== undefined) {
      const { offset, length } = refcountTable;
      if (offset < l1Offset + l1.length && l1Offset < offset + length) {
        refuse(offset, 'the refcount table lies in the L1 table', offset);
      }
      ranges.push({ what: 'the refcount table', start: offset, end: offset + length });
    }
    const blocks = await refcountBlocks(file, header);
    const tables = offsets(l1);
    const places = new MetadataPlaces(ranges, tables.sort(), blocks);
    // Found by position only after the sort, so that the search costs nothing where all is well.
    const entryOf = (host: number) => {
      let index = 0;
      while (offsetOf(l1, index) !== host) index += ENTRY;
      return l1Offset + index;
    };
    for (let index = 0; index < tables.length; index++) {
      const table = tables[index] as number;
      if (table === tables[index - 1]) refuse(entryOf(table), 'an L2 table is used twice', table);
      const inside = ranges.find(({ start, end }) => table < end && start < table + clusterSize);
      if (inside !== undefined) refuse(entryOf(table), `an L2 table lies in ${inside.what}`, table);
      if (holds(blocks, table)) refuse(entryOf(table), 'an L2 table is a refcount block as well', table);
    }
    return places;
  }

  /** What of the image's tables is in the cluster of the file that starts at `host`; undefined for none. */
  at(host: number): string | undefined {
    if (holds(this.#tables, host)) return 'an L2 table';
    if (holds(this.#blocks, host)) return 'a refcount block';
    // A table begins on a cluster, so a cluster that holds a part of it starts within it.
    return this.#ranges.find(({ start, end }) => host >= start && host < end)?.what;
  }
}

function offsets(table: Buffer): Float64Array {
  let count = 0;
  for (let at = 0; at < table.length; at += ENTRY) if (offsetOf(table, at) !== 0) count++;
  const list = new Float64Array(count);
  let next = 0;
  for (let at = 0; at < table.length; at += ENTRY) {
    const offset = offsetOf(table, at);
    if (offset !== 0) list[next++] = offset;
  }
  return list;
}

async function refcountBlocks(file: ImageFile, { refcountTable }: Header): Promise<Float64Array> {
  if (refcountTable === undefined) return new Float64Array(0);
  const table = Buffer.alloc(refcountTable.length);
  await readPadded(file, table, refcountTable.offset);
  return offsets(table).sort();
}

/** Whether an ascending list holds a value. */
function holds(list: Float64Array, value: number): boolean {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return list[low] === value;
}
