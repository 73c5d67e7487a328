import { type ImageFile, readPadded, roundUp } from '@polyvisor/core';
import type { HeaderExtension } from './extensions.js';
import { bitmapsValid, misplaced } from './header-rules.js';
import type { HeaderFields } from './header-fields.js';
import { ENTRY, EXTENSION } from './layout.js';
import { offsetOf } from './entry.js';

/** Length of the extension that lists the bitmaps, in bytes. */
const LIST_LENGTH = 24;

/** Offsets within an entry of the bitmap directory, and its length without what follows. */
const DIRECTORY = { tableOffset: 0, tableSize: 8, nameLength: 18, extraLength: 20, length: 24 } as const;

/** A directory beyond this is of more bitmaps than anybody keeps, in bytes. */
const MAX_DIRECTORY = 1024 * 1024;

/** Clusters of all bitmaps together: one has a bit for each 64 KiB of disk. */
const MAX_CLUSTERS = 2 ** 20;

export interface Area {
  readonly offset: number;
  readonly length: number;
}

function listOf(fields: HeaderFields, extensions: readonly HeaderExtension[]): HeaderExtension | undefined {
  // Without its feature bit the list is out of date, and ignored as QEMU does.
  return bitmapsValid(fields) ? extensions.find(({ type }) => type === EXTENSION.bitmaps) : undefined;
}

/** Persistent bitmaps that are in step with the disk. */
export function bitmapCount(fields: HeaderFields, extensions: readonly HeaderExtension[]): number {
  const list = listOf(fields, extensions);
  return list?.data.length === LIST_LENGTH ? list.data.readUInt32BE(0) : 0;
}

/** Everything in the file that belongs to bitmaps; `wrong` is told what cannot be, and where. */
export async function bitmapAreas(
  file: ImageFile,
  fields: HeaderFields,
  extensions: readonly HeaderExtension[],
  wrong: (offset: number, expected: string) => void,
): Promise<Area[]> {
  const list = listOf(fields, extensions);
  if (list === undefined) return [];
  const clusterSize = 2 ** fields.clusterBits;
  if (list.data.length !== LIST_LENGTH) {
    wrong(list.offset, `an extension of ${LIST_LENGTH} bytes`);
    return [];
  }
  const size = Number(list.data.readBigUInt64BE(8));
  const at = list.data.readBigUInt64BE(16);
  const impossible = size > MAX_DIRECTORY ? `at most ${MAX_DIRECTORY} bytes` : misplaced(file, at, clusterSize, size);
  if (impossible !== undefined) {
    wrong(list.offset, `a directory of ${impossible}`);
    return [];
  }
  const areas: Area[] = [{ offset: Number(at), length: size }];
  const directory = Buffer.alloc(size);
  await readPadded(file, directory, Number(at));
  for (let entry = 0; entry + DIRECTORY.length <= size;) {
    const tableAt = directory.readBigUInt64BE(entry + DIRECTORY.tableOffset);
    const entries = directory.readUInt32BE(entry + DIRECTORY.tableSize);
    if (areas.length + entries > MAX_CLUSTERS) {
      wrong(Number(at) + entry, `at most ${MAX_CLUSTERS} clusters for all bitmaps`);
      return areas;
    }
    const misplacedTable = misplaced(file, tableAt, clusterSize, entries * ENTRY);
    if (misplacedTable === undefined) {
      areas.push({ offset: Number(tableAt), length: entries * ENTRY });
      const table = Buffer.alloc(entries * ENTRY);
      await readPadded(file, table, Number(tableAt));
      for (let index = 0; index < table.length; index += ENTRY) {
        const offset = offsetOf(table, index);
        if (offset === 0) continue;
        if (misplaced(file, BigInt(offset), clusterSize, 1) === undefined) areas.push({ offset, length: clusterSize });
        else wrong(Number(tableAt) + index, 'a cluster inside the file');
      }
    } else {
      wrong(Number(at) + entry, `a table of ${misplacedTable}`);
    }
    const name = directory.readUInt16BE(entry + DIRECTORY.nameLength);
    entry += roundUp(DIRECTORY.length + directory.readUInt32BE(entry + DIRECTORY.extraLength) + name, 8);
  }
  return areas;
}
