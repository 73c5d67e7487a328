import { type ImageFile, type Patch, roundUp } from '@polyvisor/core';
import { equalTables } from './check-tables.js';
import type { SparseHeader } from './header-reader.js';
import { ENTRIES_PER_TABLE, FLAG, HEADER, MAX_FILE_SIZE, SECTOR, TABLE_SECTORS, TABLE_SIZE } from './layout.js';
import { soundTables } from './sound-directory.js';
import type { Tables } from './table-reader.js';

/** Tables that are written at once: 256 KiB. */
const BATCH = 128;

/** Grains are kept on multiples of this many sectors by those who append further ones. */
const ALIGNMENT = 128 * SECTOR;

/**
 * Grain directory and copy: when they differ, the one that readers use wins if it is sound, and the other one if only that is. The new
 * copy goes to the end of the file, since nobody can tell what lies where a damaged directory says that its tables are. In a stream
 * nothing may follow the end, so it does without a copy from then on.
 */
export async function* mendDirectories(
  file: ImageFile,
  fields: Buffer,
  header: SparseHeader,
  signal: AbortSignal,
): AsyncGenerator<Patch> {
  if (header.redundantDirectory === undefined) return;
  const primary = await soundTables(file, header, header.directory, signal);
  const copy = await soundTables(file, header, header.redundantDirectory, signal);
  if (primary !== undefined && copy !== undefined && (await areEqual(primary, copy, signal))) return;
  const sound = primary ?? copy;
  if (sound === undefined) return;
  const damaged = primary === undefined ? 'grain directory' : 'copy of the grain directory';
  const changed = Buffer.from(fields);
  if (header.compressed) {
    if (primary === undefined) changed.writeBigUInt64LE(header.redundantDirectory, HEADER.directory);
    changed.writeBigUInt64LE(0n, HEADER.redundantDirectory);
    changed.writeUInt32LE(fields.readUInt32LE(HEADER.flags) & ~FLAG.redundantTables, HEADER.flags);
  } else {
    const at = roundUp(file.size, Math.max(ALIGNMENT, header.grainSectors * SECTOR));
    const end = at + roundUp(sound.count * 4, SECTOR) + sound.count * TABLE_SIZE;
    if (end > MAX_FILE_SIZE) return;
    yield* writeCopy(sound, { end: file.size, at, damaged, signal });
    changed.writeBigUInt64LE(BigInt(at / SECTOR), primary === undefined ? HEADER.directory : HEADER.redundantDirectory);
  }
  yield {
    offset: HEADER.flags,
    bytes: changed.subarray(HEADER.flags, HEADER.overhead),
    reason: `the ${damaged} was damaged; ${header.compressed ? 'the disk does without a second one' : 'it is made anew at the end of the file'}`,
  };
}

interface Place {
  /** Of the file, so far: what is between that and the new directory is filled with zeros. */
  readonly end: number;
  readonly at: number;
  readonly damaged: string;
  readonly signal: AbortSignal;
}

async function* writeCopy(tables: Tables, { end, at, damaged, signal }: Place): AsyncGenerator<Patch> {
  const reason = `the ${damaged} was damaged; it is made anew at the end of the file`;
  const directory = Buffer.alloc(roundUp(tables.count * 4, SECTOR));
  const firstTable = (at + directory.length) / SECTOR;
  for (let index = 0; index < tables.count; index++)
    directory.writeUInt32LE(firstTable + index * TABLE_SECTORS, index * 4);
  yield { offset: end, bytes: Buffer.concat([Buffer.alloc(at - end), directory]), reason };
  for (let first = 0; first < tables.count; first += BATCH) {
    signal.throwIfAborted();
    const bytes = Buffer.alloc(Math.min(BATCH, tables.count - first) * TABLE_SIZE);
    for (let index = 0; index < bytes.length / TABLE_SIZE; index++) {
      const table = await tables.table(first + index);
      for (let entry = 0; entry < ENTRIES_PER_TABLE; entry++)
        bytes.writeUInt32LE(table?.[entry] ?? 0, index * TABLE_SIZE + entry * 4);
    }
    yield { offset: firstTable * SECTOR + first * TABLE_SIZE, bytes, reason };
  }
}

async function areEqual(primary: Tables, copy: Tables, signal: AbortSignal): Promise<boolean> {
  for (let index = 0; index < primary.count; index++) {
    signal.throwIfAborted();
    if (!equalTables(await primary.table(index), await copy.table(index))) return false;
  }
  return true;
}
