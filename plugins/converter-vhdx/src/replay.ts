import { type Extent, type ImageFile, readPadded, unionExtents } from '@polyvisor/core';
import { DATA_SECTOR, LOG_SECTOR, MAX_FILE_SIZE, MIB, PLACE } from './layout.js';
import { type Descriptor, headLength, type LogEntry, readDescriptors } from './log-entry.js';
import { LogRing } from './log-ring.js';
import { findActiveSequence } from './log-sequence.js';
import { type Header, readAt } from './read-headers.js';
import type { Report } from './rules.js';

/** Changes that are kept in memory: a GiB of pages, where the usual log of 1 MiB has room for less than 256. */
const MAX_CHANGES = 262_144;

/** A page that the log replaces. */
export interface LoggedPage {
  readonly offset: number;
  /** Where in the file its data sector is. */
  readonly sector: number;
  readonly leading: bigint;
  readonly trailing: number;
}

/** What the log changes in the file, when all of it has been replayed. */
export interface Replay {
  /** Length of the file in bytes afterwards. */
  readonly size: number;
  /** Ascending and disjoint. They hold before the pages. */
  readonly zeros: readonly Extent[];
  /** Ascending, each once. */
  readonly pages: readonly LoggedPage[];
  readonly entries: number;
}

type Ordered<Change> = Change & { readonly order: number };

/** Reads the log without changing anything. Undefined when it cannot be replayed, which has been reported. */
export async function readReplay(file: ImageFile, header: Header, report: Report): Promise<Replay | undefined> {
  const sequence = await findActiveSequence(file, header, report);
  if (sequence === undefined) return undefined;
  const size = sizeAfter(file, header, sequence, report);
  if (size === undefined) return undefined;
  const ring = new LogRing(file, header);
  const zeros: Ordered<Extent>[] = [];
  const pages = new Map<number, Ordered<LoggedPage>>();
  let order = 0;
  for (const entry of sequence) {
    let sector = entry.position + headLength(entry.descriptors);
    for await (const change of readDescriptors(ring, entry)) {
      if (!isAllowed(change, header, size)) {
        reportTarget(change, ring.place(entry.position), report);
        return undefined;
      }
      if (order === MAX_CHANGES) {
        const place = { offset: header.logOffset, expected: `at most ${MAX_CHANGES} changes`, found: 'more' };
        report('vhdx-log-size', 'the log has too many entries', place);
        return undefined;
      }
      const offset = Number(change.offset);
      if (change.kind === 'zero') {
        zeros.push({ offset, length: Number(change.length), order: order++ });
      } else {
        const { leading, trailing } = change;
        pages.set(offset, { offset, sector: ring.place(sector), leading, trailing, order: order++ });
        sector += LOG_SECTOR;
      }
    }
  }
  return { size, zeros: merged(zeros), pages: dropZeroed([...pages.values()], zeros), entries: sequence.length };
}

/** The file's length after replay. One that lost its end since the log was written is refused. */
function sizeAfter(
  file: ImageFile,
  { logOffset }: Header,
  sequence: readonly LogEntry[],
  report: Report,
): number | undefined {
  const { position, flushedFileOffset, lastFileOffset } = sequence.at(-1) as LogEntry;
  if (flushedFileOffset > BigInt(file.size) || lastFileOffset > BigInt(MAX_FILE_SIZE)) {
    report('vhdx-log-truncated', 'the file is shorter than its log says', {
      offset: logOffset + position,
      expected: `at least ${flushedFileOffset} bytes, ${lastFileOffset} after replay`,
      found: `${file.size} bytes`,
    });
    return undefined;
  }
  return Math.max(file.size, Math.ceil(Number(lastFileOffset) / MIB) * MIB);
}

/** Never changed through the log: what comes before the region tables (headers), the log itself, and nothing outside of the file. */
function isAllowed(change: Descriptor, { logOffset, logLength }: Header, size: number): boolean {
  const length = change.kind === 'zero' ? change.length : BigInt(LOG_SECTOR);
  const end = change.offset + length;
  if (end > BigInt(size) || change.offset < BigInt(PLACE.regionTables[0])) return false;
  return end <= BigInt(logOffset) || change.offset >= BigInt(logOffset + logLength);
}

function reportTarget(change: Descriptor, offset: number, report: Report): void {
  const length = change.kind === 'zero' ? change.length : BigInt(LOG_SECTOR);
  report('vhdx-log-target', 'an entry of the log changes what it must not', {
    offset,
    expected: 'a range inside the file, outside of its headers and the log',
    found: `${length} bytes at ${change.offset}`,
  });
}

/** The ranges as a set, without their order. */
function merged(ranges: readonly Extent[]): readonly Extent[] {
  const result: { offset: number; length: number }[] = [];
  for (const { offset, length } of [...ranges].sort((a, b) => a.offset - b.offset)) {
    const last = result.at(-1);
    if (last !== undefined && offset <= last.offset + last.length) {
      last.length = Math.max(last.length, offset + length - last.offset);
    } else if (length > 0) {
      result.push({ offset, length });
    }
  }
  return result;
}

/**
 * The pages, ascending, without those that a later change made zero. Ranges are taken from the last to the first, and each
 * page is decided by the first one that covers it: `next` skips the pages that are, so that each costs one step.
 */
function dropZeroed(
  pages: readonly Ordered<LoggedPage>[],
  zeros: readonly Ordered<Extent>[],
): readonly Ordered<LoggedPage>[] {
  const sorted = [...pages].sort((a, b) => a.offset - b.offset);
  const zeroedAt = new Int32Array(sorted.length).fill(-1);
  const next = Int32Array.from({ length: sorted.length + 1 }, (_, index) => index);
  const undecided = (from: number): number => {
    let at = from;
    while (next[at] !== at) at = next[at] = next[next[at] as number] as number;
    return at;
  };
  for (const { offset, length, order } of zeros.toReversed()) {
    let at = undecided(lowerBound(sorted, offset));
    for (; at < sorted.length && (sorted[at] as LoggedPage).offset < offset + length; at = undecided(at)) {
      zeroedAt[at] = order;
      next[at] = at + 1;
    }
  }
  return sorted.filter(({ order }, index) => (zeroedAt[index] as number) < order);
}

/** Index of the first item at or behind an offset, of items that ascend. */
function lowerBound(items: readonly { readonly offset: number }[], offset: number): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((items[middle] as { offset: number }).offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The bytes of a logged page, put together from the log. */
export async function readLoggedPage(file: ImageFile, { sector, leading, trailing }: LoggedPage): Promise<Buffer> {
  const page = await readAt(file, sector, LOG_SECTOR);
  page.writeBigUInt64LE(leading, 0);
  page.writeUInt32LE(trailing, DATA_SECTOR.dataEnd);
  return page;
}

/** The file as it is once the log has been replayed. The file itself is not changed. Borrows it. */
export function replayed(file: ImageFile, replay: Replay): ImageFile {
  const { size, zeros, pages } = replay;
  return {
    path: file.path,
    size,
    extents: (signal) => unionExtents(file.extents(signal), pageExtents(pages)),
    read: async (into, offset) => {
      await readPadded(file, into, offset);
      const end = offset + into.length;
      for (let at = Math.max(0, lowerBound(zeros, offset) - 1); at < zeros.length; at++) {
        const zero = zeros[at] as Extent;
        if (zero.offset >= end) break;
        const [from, to] = [Math.max(offset, zero.offset), Math.min(end, zero.offset + zero.length)];
        if (from < to) into.fill(0, from - offset, to - offset);
      }
      for (let at = lowerBound(pages, offset - LOG_SECTOR + 1); at < pages.length; at++) {
        const page = pages[at] as LoggedPage;
        if (page.offset >= end) break;
        const bytes = await readLoggedPage(file, page);
        const from = Math.max(offset, page.offset);
        into.set(bytes.subarray(from - page.offset, Math.min(LOG_SECTOR, end - page.offset)), from - offset);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function* pageExtents(pages: readonly LoggedPage[]): AsyncGenerator<Extent> {
  for (const { offset } of pages) {
    await Promise.resolve();
    yield { offset, length: LOG_SECTOR };
  }
}
