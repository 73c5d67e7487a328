import type { ImageFile } from '@polyvisor/core';
import type { StreamHeader } from './header-reader.js';
import { ENTRIES_PER_TABLE, HEADER, SECTOR, TABLE_SECTORS, TABLE_SIZE } from './layout.js';
import { damaged, readAt } from './refusal.js';

/** Largest grain directory accepted, in bytes: enough for 62 TiB in grains of 64 KiB, twice. */
const MAX_DIRECTORY = 16 * 1024 * 1024;

/** Grain tables kept in memory, 2 KiB each. */
const TABLES_KEPT = 64;

/** Reads the grain directory and checks that every table in it lies inside the file and overlaps no other. */
export async function readDirectory(
  file: ImageFile,
  { directory: sector, capacity, grainSectors, reserved }: StreamHeader,
): Promise<Uint32Array> {
  const tables = Math.ceil(Math.ceil(capacity / grainSectors) / ENTRIES_PER_TABLE);
  if (tables * 4 > MAX_DIRECTORY) {
    throw damaged(file, 'the grain directory is too large', {
      expected: `at most ${MAX_DIRECTORY} bytes`,
      found: `${tables * 4}`,
    });
  }
  if (sector < reserved || sector * 512n + BigInt(tables * 4) > file.size) {
    throw damaged(file, 'the grain directory lies outside the file or over the descriptor', {
      offset: HEADER.directory,
      expected: `sector ${reserved} to ${Math.floor((file.size - tables * 4) / SECTOR)}`,
      found: `${sector}`,
    });
  }
  const offset = Number(sector) * SECTOR;
  const bytes = await readAt(file, offset, tables * 4, 'the grain directory');
  const directory = Uint32Array.from({ length: tables }, (_, index) => bytes.readUInt32LE(index * 4));
  // Sorted, a table that is shared or overlaps another stands beside it; together they cannot exceed the file then.
  let previous = -1;
  for (const table of directory.slice().sort()) {
    if (table === 0) continue;
    if (table < reserved || (table + TABLE_SECTORS) * SECTOR > file.size) {
      throw damaged(file, 'a grain table lies outside the file or over the descriptor', {
        offset,
        found: `sector ${table}`,
      });
    }
    if (previous >= 0 && table < previous + TABLE_SECTORS) {
      throw damaged(file, 'two grain tables overlap', { offset, found: `sectors ${previous} and ${table}` });
    }
    previous = table;
  }
  return directory;
}

/** Grain tables by their number, the last few kept. Undefined for a table that is not there: all its grains are zero. */
export function tableCache(
  file: ImageFile,
  directory: Uint32Array,
): (index: number) => Promise<Uint32Array | undefined> {
  const kept = new Map<number, Promise<Uint32Array>>();
  const load = async (sector: number) => {
    const bytes = await readAt(file, sector * SECTOR, TABLE_SIZE, 'a grain table');
    return Uint32Array.from({ length: ENTRIES_PER_TABLE }, (_, entry) => bytes.readUInt32LE(entry * 4));
  };
  return async (index) => {
    const sector = directory[index] ?? 0;
    if (sector === 0) return undefined;
    const table = kept.get(index) ?? load(sector);
    // Put in again, so that the map's order is that of use.
    kept.delete(index);
    kept.set(index, table);
    const [oldest] = kept.keys();
    if (kept.size > TABLES_KEPT && oldest !== undefined) kept.delete(oldest);
    return table;
  };
}
