import type { ImageFile } from '@polyvisor/core';
import type { SparseHeader } from './header-reader.js';
import { HEADER, MAX_DIRECTORY, SECTOR } from './layout.js';
import { damaged, readAt } from './refusal.js';

/** Grain tables kept in memory, 2 KiB each (16 KiB in COWD), for all extents of a disk together. */
const TABLES_KEPT = 64;

/** What the extents of one disk share: a bound on the memory of their directories, and the tables read last. */
export class TableMemory {
  #directories = 0;
  readonly #kept = new Map<string, Promise<Uint32Array>>();
  #owners = 0;

  /** A number for each extent, to tell their tables apart. */
  owner(): number {
    return this.#owners++;
  }

  /** Takes the memory for a directory, or says how much there may be. */
  reserve(file: ImageFile, bytes: number): void {
    if (this.#directories + bytes > MAX_DIRECTORY) {
      throw damaged(file, 'the grain directory is too large', {
        expected: `at most ${MAX_DIRECTORY} bytes, for all extents together`,
        found: `${this.#directories + bytes}`,
      });
    }
    this.#directories += bytes;
  }

  table(owner: number, index: number, load: () => Promise<Uint32Array>): Promise<Uint32Array> {
    const key = `${owner}:${index}`;
    const table = this.#kept.get(key) ?? load();
    // Put in again, so that the map's order is that of use.
    this.#kept.delete(key);
    this.#kept.set(key, table);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > TABLES_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return table;
  }
}

/** Grain tables, by their number. Undefined for a table that is not there: none of its grains is stored. */
export interface Tables {
  readonly count: number;
  table(index: number): Promise<Uint32Array | undefined>;
}

/** Grain tables that a disk of this geometry has. */
export function tableCount({ capacity, grainSectors, entriesPerTable }: SparseHeader): number {
  return Math.ceil(Math.ceil(capacity / grainSectors) / entriesPerTable);
}

/** Reads the grain directory at `sector` and checks that every table in it lies inside the file and overlaps no other. */
export async function readDirectory(
  file: ImageFile,
  header: SparseHeader,
  sector: bigint,
  memory: TableMemory,
): Promise<Tables> {
  const { reserved, entriesPerTable } = header;
  const count = tableCount(header);
  const tableSectors = (entriesPerTable * 4) / SECTOR;
  if (sector < reserved || sector * 512n + BigInt(count * 4) > file.size) {
    // A directory that is too large for any file is told as that.
    if (count * 4 > MAX_DIRECTORY) memory.reserve(file, count * 4);
    throw damaged(file, 'the grain directory lies outside the file or over the descriptor', {
      offset: HEADER.directory,
      expected: `sector ${reserved} to ${Math.floor((file.size - count * 4) / SECTOR)}`,
      found: `${sector}`,
    });
  }
  memory.reserve(file, count * 4);
  const offset = Number(sector) * SECTOR;
  const directory = await readWords(file, offset, count, 'the grain directory');
  // Sorted, a table that is shared or overlaps another stands beside it; together they cannot exceed the file then.
  let previous = -1;
  for (const table of directory.slice().sort()) {
    if (table === 0) continue;
    if (table < reserved || (table + tableSectors) * SECTOR > file.size) {
      throw damaged(file, 'a grain table lies outside the file or over the descriptor', {
        offset,
        found: `sector ${table}`,
      });
    }
    if (previous >= 0 && table < previous + tableSectors) {
      throw damaged(file, 'two grain tables overlap', { offset, found: `sectors ${previous} and ${table}` });
    }
    previous = table;
  }
  const owner = memory.owner();
  return {
    count,
    table: async (index) => {
      const at = directory[index] ?? 0;
      if (at === 0) return undefined;
      return memory.table(owner, index, () => readWords(file, at * SECTOR, entriesPerTable, 'a grain table'));
    },
  };
}

/** Numbers of 32 bits, little-endian in the file. */
export async function readWords(file: ImageFile, offset: number, count: number, what: string): Promise<Uint32Array> {
  const bytes = await readAt(file, offset, count * 4, what);
  const words = new Uint32Array(count);
  for (let index = 0; index < count; index++) words[index] = bytes.readUInt32LE(index * 4);
  return words;
}
