import type { ByteSource } from '@polyvisor/core';
import { ENTRY_SIZE } from './layout.js';

/** Entries read at once: 64 KiB, which is 16 GiB of disk in blocks of the usual size. */
export const PAGE_ENTRIES = 16_384;

/** Pages kept. A read touches one or two of them, and there may be several reads at the same time. */
const KEPT_PAGES = 16;

export interface BlockMap {
  /** The page in which an entry is, and its place there. */
  page(index: number): Promise<Uint32Array>;
}

/** The map, read page by page as it is needed. Memory: at most 1 MiB, however large the disk. */
export function blockMap(file: ByteSource, offset: number, entries: number): BlockMap {
  const pages = new Map<number, Promise<Uint32Array>>();
  return {
    page: (index) => {
      const known = pages.get(index);
      if (known !== undefined) {
        pages.delete(index);
        pages.set(index, known); // now the youngest
        return known;
      }
      const first = index * PAGE_ENTRIES;
      const page = readEntries(file, offset + first * ENTRY_SIZE, Math.min(PAGE_ENTRIES, entries - first));
      pages.set(index, page);
      page.catch(() => pages.delete(index)); // a failure is not remembered
      for (const oldest of pages.keys()) {
        if (pages.size <= KEPT_PAGES) break;
        pages.delete(oldest);
      }
      return page;
    },
  };
}

/** All entries in order, a page at a time, with the number of the first. */
export async function* mapPages(
  file: ByteSource,
  offset: number,
  entries: number,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly first: number; readonly page: Uint32Array }> {
  for (let first = 0; first < entries; first += PAGE_ENTRIES) {
    signal?.throwIfAborted();
    const count = Math.min(PAGE_ENTRIES, entries - first);
    yield { first, page: await readEntries(file, offset + first * ENTRY_SIZE, count) };
  }
}

async function readEntries(file: ByteSource, offset: number, count: number): Promise<Uint32Array> {
  const bytes = Buffer.alloc(count * ENTRY_SIZE);
  await file.read(bytes, offset);
  return Uint32Array.from({ length: count }, (_, index) => bytes.readUInt32LE(index * ENTRY_SIZE));
}
