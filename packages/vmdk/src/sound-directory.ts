import { errorKind, type ImageFile } from '@polyvisor/core';
import { GrainPlaces } from './grain-places.js';
import type { SparseHeader } from './header-reader.js';
import { GRAIN_ZERO, MARKER, SECTOR } from './layout.js';
import { readAt } from './refusal.js';
import { readDirectory, TableMemory, type Tables } from './table-reader.js';

/** Whether a directory, its tables and the places of all grains are possible. Memory: see `GrainPlaces`. */
export async function isSoundDirectory(
  file: ImageFile,
  header: SparseHeader,
  sector: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  return (await soundTables(file, header, sector, signal)) !== undefined;
}

/** The tables of a directory that is sound; undefined when it is not. */
export async function soundTables(
  file: ImageFile,
  header: SparseHeader,
  sector: bigint,
  signal: AbortSignal,
): Promise<Tables | undefined> {
  let tables: Tables;
  try {
    tables = await readDirectory(file, header, sector, new TableMemory());
  } catch (error) {
    if (errorKind(error) === 'format') return undefined;
    throw error;
  }
  const places = new GrainPlaces(header.grainSectors);
  const grains = Math.ceil(header.capacity / header.grainSectors);
  for (let index = 0; index < tables.count; index++) {
    signal.throwIfAborted();
    const table = await tables.table(index);
    if (table === undefined) continue;
    for (let entry = 0; entry < table.length; entry++) {
      const grain = index * header.entriesPerTable + entry;
      const at = table[entry] ?? 0;
      if (at <= GRAIN_ZERO || grain >= grains) continue;
      if (!(await isPossible(file, header, grain, at))) return undefined;
      if (!header.compressed && !places.add(at)) return undefined;
    }
  }
  return tables;
}

async function isPossible(
  file: ImageFile,
  { reserved, compressed, capacity, grainSectors }: SparseHeader,
  grain: number,
  sector: number,
): Promise<boolean> {
  const wanted = compressed ? MARKER.grainHeaderSize : Math.min(grainSectors, capacity - grain * grainSectors) * SECTOR;
  if (sector < reserved || sector * SECTOR + wanted > file.size) return false;
  if (!compressed) return true;
  const marker = await readAt(file, sector * SECTOR, MARKER.grainHeaderSize, 'a grain');
  return marker.readBigUInt64LE(MARKER.value) === BigInt(grain) * BigInt(grainSectors);
}
