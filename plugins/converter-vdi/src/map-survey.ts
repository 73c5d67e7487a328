import type { ImageFile } from '@polyvisor/core';
import type { Fields } from './fields.js';
import { BLOCK_ZERO, ENTRY_SIZE } from './layout.js';
import { mapPages } from './map.js';
import { SEEN_WINDOW, SeenBlocks } from './seen.js';

/** The first entry of the map that is wrong in a way, and how many are. */
export interface Trouble {
  readonly block: number;
  readonly entry: number;
  /** Of the entry, in bytes. */
  readonly offset: number;
  count: number;
}

/** What the map says, all entries looked at. */
export interface MapSurvey {
  /** Entries that point to a block of the file. */
  readonly allocated: number;
  /** The largest of them; -1 when there is none. */
  readonly highest: number;
  readonly duplicate: Trouble | undefined;
  readonly outside: Trouble | undefined;
}

/**
 * Goes over a map that lies within the file, never mind what is in it. Memory: 4 MiB, whatever the size; a file with more
 * than 32 million blocks is gone over several times.
 */
export async function surveyMap(file: ImageFile, fields: Fields, signal: AbortSignal): Promise<MapSurvey> {
  const { mapOffset, dataOffset, blockSize, blockExtra, blocks } = fields;
  const stride = blockSize + blockExtra;
  const inFile = Math.ceil(Math.max(0, file.size - dataOffset) / stride);
  let allocated = 0;
  let highest = -1;
  let duplicate: Trouble | undefined;
  let outside: Trouble | undefined;
  const note = (known: Trouble | undefined, block: number, entry: number): Trouble => {
    if (known === undefined) return { block, entry, offset: mapOffset + block * ENTRY_SIZE, count: 1 };
    known.count++;
    return known;
  };
  for (let window = 0; window === 0 || window < inFile; window += SEEN_WINDOW) {
    const seen = new SeenBlocks(window, inFile);
    for await (const { first, page } of mapPages(file, mapOffset, blocks, signal)) {
      for (const [index, entry] of page.entries()) {
        if (entry >= BLOCK_ZERO) continue;
        const block = first + index;
        if (seen.add(entry)) duplicate = note(duplicate, block, entry);
        if (window > 0) continue;
        allocated++;
        highest = Math.max(highest, entry);
        // The last block of a disk may be cut short where the disk is.
        const needed = Math.max(0, Math.min(blockSize, Number(fields.diskSize) - block * blockSize));
        if (dataOffset + entry * stride + blockExtra + needed > file.size) outside = note(outside, block, entry);
      }
    }
  }
  return { allocated, highest, duplicate, outside };
}

/** Whether the map can be gone over: it is in the file, and blocks have a size. */
export function canSurvey(file: ImageFile, { mapOffset, blocks, blockSize }: Fields): boolean {
  return blockSize > 0 && mapOffset + blocks * ENTRY_SIZE <= file.size;
}
