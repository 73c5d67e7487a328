import type { ImageFile } from '@polyvisor/core';
import type { SparseHeader } from './header-reader.js';
import { COWD, COWD_MAGIC, MAX_CAPACITY, MAX_GRAIN_SECTORS, SECTOR } from './layout.js';
import { damaged, readAt } from './refusal.js';
import { tableCount } from './table-reader.js';

/** Whether the file is an extent in ESX 3's own format. */
export async function isCowd(file: ImageFile): Promise<boolean> {
  if (file.size < COWD.size) return false;
  return (await readAt(file, 0, 4, 'the header')).readUInt32LE(0) === COWD_MAGIC;
}

/** Reads and checks the header of an ESX 3 extent (vmfsSparse). The rest of the header is about its use in place. */
export async function readCowdHeader(file: ImageFile): Promise<SparseHeader> {
  const header = await readAt(file, 0, COWD.size, 'the header');
  const expect = (ok: boolean, what: string, offset: number, expected: string) => {
    if (!ok) throw damaged(file, what, { offset, expected, found: `${header.readUInt32LE(offset)}` });
  };
  const capacity = header.readUInt32LE(COWD.capacity);
  const grainSectors = header.readUInt32LE(COWD.grainSize);
  expect(header.readUInt32LE(COWD.version) === 1, 'unknown version of a vmfsSparse extent', COWD.version, '1');
  const most = MAX_CAPACITY / SECTOR;
  expect(capacity > 0 && capacity <= most, 'impossible capacity', COWD.capacity, `1 to ${most} sectors`);
  const grainIsFine =
    grainSectors >= 1 && grainSectors <= MAX_GRAIN_SECTORS && Number.isInteger(Math.log2(grainSectors));
  expect(grainIsFine, 'impossible grain size', COWD.grainSize, `a power of two, 1 to ${MAX_GRAIN_SECTORS} sectors`);
  const result: SparseHeader = {
    capacity,
    grainSectors,
    reserved: COWD.reserved,
    entriesPerTable: COWD.entriesPerTable,
    version: 1,
    compressed: false,
    directory: BigInt(header.readUInt32LE(COWD.directory)),
    redundantDirectory: undefined,
    directoryInFooter: false,
    unclean: false,
  };
  const tables = tableCount(result);
  expect(
    header.readUInt32LE(COWD.directoryEntries) >= tables,
    'the grain directory is too short for the capacity',
    COWD.directoryEntries,
    `at least ${tables} entries`,
  );
  return result;
}
