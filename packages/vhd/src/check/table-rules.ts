import type { Finding, ImageFile } from '@polyvisor/core';
import { DEFAULT_BLOCK_SIZE, NOT_ALLOCATED, SECTOR } from '../layout.js';
import { readAt } from '../read-at.js';
import { MAX_BLOCKS, type Range } from '../read-header.js';
import { BLKTAP, type Consumer, isBlktap, MICROSOFT } from './consumers.js';
import { sectorsUp } from './header-rules.js';
import { type Breach, finding, type Rule } from './rule.js';

export interface TableSubject {
  readonly file: ImageFile;
  readonly tableOffset: number;
  readonly entries: number;
  readonly blockSize: number;
  /** Current size of the disk, in bytes. */
  readonly size: bigint;
  /** Where the footer at the end starts, in bytes. */
  readonly footerAt: number;
  /** What no block may lie over. */
  readonly structures: readonly Range[];
  /** End of everything that blktap takes for headers, which all blocks must follow. In bytes. */
  readonly endOfHeaders: number;
  readonly consumer: string | undefined;
}

/** Findings of one rule that are told one by one; the rest is counted. */
const TOLD = 8;

/** Numbers of sectors are 32 bits, also in blktap's own arithmetic, where they wrap around. */
const WRAP = 2 ** 32;

type TableRule = Omit<Rule<never>, 'breach'>;

const overHeaders: TableRule = {
  rule: 'block-over-headers', // 25
  severity: 'error',
  message: 'a block lies over the headers',
  refusedBy: [],
};
const outside: TableRule = {
  rule: 'block-outside', // 26
  severity: 'error',
  message: 'a block reaches over the footer, or out of the file',
  refusedBy: [],
  hint: 'the file was probably cut off while it was copied; copy it again',
};
const overlap: TableRule = {
  rule: 'blocks-overlap', // 27
  severity: 'error',
  message: 'two blocks share a part of the file',
  refusedBy: [],
};
const disorder: TableRule = {
  rule: 'block-order',
  severity: 'warning',
  message: 'an import as a stream wants the table before the blocks, and the blocks in ascending order',
  refusedBy: [],
  hint: 'copy the file into the storage itself, or convert it',
};

/** 25 to 27: every block in its place. Memory: 8 bytes a block. */
export async function* checkTable(subject: TableSubject): AsyncGenerator<Finding> {
  const { file, tableOffset, entries, blockSize, size, footerAt, structures, endOfHeaders, consumer } = subject;
  const needed = Number((size + BigInt(blockSize) - 1n) / BigInt(blockSize));
  // blktap looks at whole blocks of 2 MiB only, however large they are.
  const looked = Number(size / BigInt(DEFAULT_BLOCK_SIZE));
  const count = Math.min(entries, Math.max(needed, looked), 2 * MAX_BLOCKS);
  if (needed > MAX_BLOCKS) {
    yield finding(
      { rule: 'table-size', severity: 'error', message: 'the disk has more blocks than are read', refusedBy: [] },
      { offset: tableOffset, expected: `at most ${MAX_BLOCKS}`, found: `${needed}` },
    );
  }
  const table = await readAt(file, tableOffset, count * 4);
  const bitmapSectors = Math.max(1, Math.ceil(Math.floor(blockSize / SECTOR / 8) / SECTOR));
  const sectors = bitmapSectors + Math.floor(blockSize / SECTOR);
  const footerSector = Math.floor(footerAt / SECTOR);
  const fileEnd = sectorsUp(file.size) / SECTOR;
  const headersEnd = Math.floor(endOfHeaders / SECTOR);

  const told = new Teller();
  const used = new Uint32Array(count);
  let stored = 0;
  let lookedAt = 0;
  let ascending = true;
  for (let index = 0; index < count; index++) {
    const sector = table.readUInt32BE(index * 4);
    if (sector === NOT_ALLOCATED) continue;
    const byBlktap = index < looked;
    const place = { offset: tableOffset + index * 4, found: `block ${index} at sector ${sector}` };
    const data = Math.min(blockSize, Number(size) - index * blockSize);
    const end = sector + sectors;
    const endOfData = sector + bitmapSectors + Math.ceil(Math.max(0, data) / SECTOR);
    const covered = structures.find((range) => sector * SECTOR < range.end && endOfData * SECTOR > range.start);
    if (covered !== undefined || (byBlktap && sector < headersEnd)) {
      yield* told.tell(overHeaders, {
        ...place,
        expected:
          covered === undefined ? `a sector from ${headersEnd}` : `nothing from ${covered.start} to ${covered.end}`,
        severity: covered === undefined ? 'warning' : 'error',
        refusedBy: byBlktap && sector < headersEnd ? [...BLKTAP, ...MICROSOFT] : [],
      });
    }
    if (end > footerSector) {
      const refusedBy: Consumer[] = [];
      if (byBlktap && end % WRAP > footerSector) refusedBy.push(...BLKTAP);
      if (endOfData > footerSector) refusedBy.push(...MICROSOFT);
      if (end > fileEnd) refusedBy.push('kvm');
      yield* told.tell(outside, {
        ...place,
        expected: `${sectors} sectors before ${footerSector}`,
        severity: endOfData > footerSector ? 'error' : 'warning', // the disk's last block may be cut off behind its end
        refusedBy,
      });
    }
    if (stored > 0 && sector < (used[stored - 1] ?? 0)) ascending = false;
    used[stored++] = sector;
    if (byBlktap) lookedAt = stored;
  }
  yield* told.rest();
  yield* checkOverlaps(used.subarray(0, stored), lookedAt, sectors);
  if (isBlktap(consumer) && stored > 0 && (!ascending || tableOffset > (used[0] ?? 0) * SECTOR)) {
    yield finding(disorder, { offset: tableOffset, expected: 'ascending sectors', found: 'others' });
  }
}

/** `looked` of the sectors, from the start, are those that blktap compares. */
function* checkOverlaps(used: Uint32Array, looked: number, sectors: number): Generator<Finding> {
  const byBlktap = used.slice(0, looked).sort();
  const all = looked === used.length ? byBlktap : used.slice().sort();
  let first: readonly [number, number] | undefined;
  let pairs = 0;
  for (let index = 1; index < all.length; index++) {
    const [a, b] = [all[index - 1] ?? 0, all[index] ?? 0];
    if (b - a >= sectors) continue;
    first ??= [a, b];
    pairs++;
  }
  const refused = clashesForBlktap(byBlktap, sectors);
  if (first === undefined && !refused) return;
  yield finding(overlap, {
    offset: (first?.[1] ?? byBlktap[0] ?? 0) * SECTOR,
    expected: `at least ${sectors} sectors from one block to the next`,
    found:
      first === undefined
        ? 'a block that wraps around'
        : `blocks at the sectors ${first[0]} and ${first[1]}${pairs > 1 ? `, and ${pairs - 1} more` : ''}`,
    refusedBy: refused ? [...BLKTAP, ...MICROSOFT] : MICROSOFT,
  });
}

/** The same question with ends that wrap around in 32 bits: a block near the largest number ends near the first. */
function clashesForBlktap(sorted: Uint32Array, sectors: number): boolean {
  for (let index = 0; index < sorted.length; index++) {
    const sector = sorted[index] ?? 0;
    const next = sorted[index + 1];
    const end = sector + sectors;
    if (next === sector) return true;
    if (end < WRAP ? next !== undefined && next < end : (sorted[0] ?? 0) < end - WRAP) return true;
  }
  return false;
}

/** Tells the first few findings of each rule and the first for each consumer, and in the end how many more there are. */
class Teller {
  readonly #seen = new Map<TableRule, { count: number; told: number; consumers: Set<Consumer> }>();

  *tell(rule: TableRule, breach: Breach): Generator<Finding> {
    const seen = this.#seen.get(rule) ?? { count: 0, told: 0, consumers: new Set() };
    this.#seen.set(rule, seen);
    seen.count++;
    const fresh = breach.refusedBy?.some((consumer) => !seen.consumers.has(consumer)) === true;
    if (seen.told >= TOLD && !fresh) return;
    seen.told++;
    for (const consumer of breach.refusedBy ?? []) seen.consumers.add(consumer);
    yield finding(rule, breach);
  }

  *rest(): Generator<Finding> {
    for (const [rule, { count, told }] of this.#seen) {
      if (count > told) yield finding({ ...rule, message: `${rule.message}, as do ${count - told} more` });
    }
  }
}
