import type { ImageFile } from '@polyvisor/core';
import { readGuid } from './guid.js';
import { LOG_ENTRY, LOG_SECTOR } from './layout.js';
import { decodeEntry, isIntact, type LogEntry } from './log-entry.js';
import { LogRing } from './log-ring.js';
import type { Header } from './read-headers.js';
import type { Report } from './rules.js';

/** Entries that are looked at. The usual log of 1 MiB has room for 256 of them. */
const MAX_ENTRIES = 65_536;

/**
 * How often the log's own length may be read to find its entries. Sound ones lie side by side, and old ones overlap a few
 * others; a file where each claims the whole log must not cost the square of it.
 */
const MAX_PASSES = 8;

const CHUNK = 256 * 1024;

/**
 * The entries to be replayed, oldest first: the end of the newest unbroken sequence, from the tail that its last entry names
 * ([MS-VHDX] 2.3.2). Undefined when there is none, which has been reported: the file is damaged, then.
 */
export async function findActiveSequence(
  file: ImageFile,
  header: Header,
  report: Report,
): Promise<readonly LogEntry[] | undefined> {
  const ring = new LogRing(file, header);
  const refuse = (expected: string, found: string) =>
    report('vhdx-log-size', 'the log has too many entries', { offset: header.logOffset, expected, found });
  const candidates = await findCandidates(ring, header.logGuid);
  if (candidates === undefined) {
    refuse(`at most ${MAX_ENTRIES} entries`, 'more');
    return undefined;
  }
  const intact = await dropTorn(ring, candidates);
  if (intact === undefined) {
    refuse(`entries side by side in ${header.logLength} bytes`, `entries of more than ${MAX_PASSES} times that length`);
    return undefined;
  }
  const active = newestSequence(ring, intact);
  if (active !== undefined) return active;
  report('vhdx-log-lost', 'the log is not empty, and it has no valid sequence of entries', {
    offset: header.logOffset,
    expected: `entries with the GUID ${header.logGuid}`,
    found: `${candidates.length} entries, ${intact.size} of them intact`,
  });
  return undefined;
}

/** Sectors that look like the first of an entry of this log; undefined when there are too many. */
async function findCandidates(ring: LogRing, logGuid: string): Promise<readonly LogEntry[] | undefined> {
  const candidates: LogEntry[] = [];
  for await (const { offset, length } of ring.stored()) {
    for (let start = offset; start < offset + length; start += CHUNK) {
      const chunk = await ring.read(start, Math.min(CHUNK, offset + length - start));
      for (let at = 0; at < chunk.length; at += LOG_SECTOR) {
        const sector = chunk.subarray(at, at + LOG_SECTOR);
        if (sector.toString('latin1', 0, 4) !== LOG_ENTRY.magic) continue;
        if (readGuid(sector, LOG_ENTRY.logGuid) !== logGuid) continue;
        const entry = decodeEntry(sector, start + at, ring.length);
        if (entry === undefined) continue;
        if (candidates.length === MAX_ENTRIES) return undefined;
        candidates.push(entry);
      }
    }
  }
  return candidates;
}

/** The entries that were written to their end, by position; undefined when that would take too long to find out. */
async function dropTorn(
  ring: LogRing,
  candidates: readonly LogEntry[],
): Promise<ReadonlyMap<number, LogEntry> | undefined> {
  const intact = new Map<number, LogEntry>();
  let read = 0;
  for (const entry of candidates) {
    read += entry.length;
    if (read > MAX_PASSES * ring.length) return undefined;
    if (await isIntact(ring, entry)) intact.set(entry.position, entry);
  }
  return intact;
}

/**
 * Follows each entry to those that were written right behind it, with sequence numbers that go up by one. A sequence counts if the
 * tail of its last entry is in it. Each step goes one up, so there are no loops, and entries that another start has led to
 * need not be tried again: what follows from them is the end of a sequence that was judged already.
 */
function newestSequence(ring: LogRing, entries: ReadonlyMap<number, LogEntry>): readonly LogEntry[] | undefined {
  const successorOf = ({ position, length, sequence }: LogEntry) => {
    const next = entries.get(ring.wrap(position + length));
    return next?.sequence === sequence + 1n ? next : undefined;
  };
  const followed = new Set<LogEntry>([...entries.values()].flatMap((entry) => successorOf(entry) ?? []));
  let active: LogEntry[] | undefined;
  let steps = 0;
  for (const start of entries.values()) {
    if (followed.has(start)) continue;
    const sequence: LogEntry[] = [];
    for (let at: LogEntry | undefined = start; at !== undefined; at = successorOf(at)) {
      sequence.push(at);
      // Several starts may lead to the same entry where entries overlap; sound ones do not.
      if (++steps > MAX_PASSES * entries.size) return undefined;
    }
    const last = sequence.at(-1) as LogEntry;
    const tail = sequence.findIndex(({ position }) => position === last.tail);
    if (tail >= 0 && (active === undefined || last.sequence > (active.at(-1) as LogEntry).sequence))
      active = sequence.slice(tail);
  }
  return active;
}
