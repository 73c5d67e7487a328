import { type ImageFile, type Patch, readPadded } from '@polyvisor/core';
import { checkQcow2, MENDABLE } from './check.js';
import { type CountWindow, countWindows } from './count-window.js';
import { isCompressed, isCopied, offsetOf } from './entry.js';
import { readExtensions } from './extensions.js';
import { type HeaderFields, readHeaderFields } from './header-fields.js';
import { ENTRY, HEADER, INCOMPATIBLE } from './layout.js';
import { planRefcounts, type RefcountPlan } from './refcount-plan.js';
import { References } from './references.js';
import { StoredCounts } from './stored-counts.js';

/**
 * Reference counts, the COPIED flags that go with them and the marks of an unclean end follow from the mapping of the
 * disk, so they can be made anew without guessing. If the mapping itself is damaged nothing is touched: what looks
 * lost might be what a broken entry meant.
 */
export async function* repairQcow2(file: ImageFile, signal: AbortSignal): AsyncGenerator<Patch> {
  let mendable = false;
  for await (const { rule, severity } of checkQcow2(file, { signal })) {
    if (MENDABLE.has(rule)) mendable = true;
    else if (severity === 'error' || rule === 'qcow2-not-counted') return;
  }
  if (!mendable) return;
  const fields = await readHeaderFields(file);
  const { extensions } = await readExtensions(file, fields);
  const references = await References.gather(file, fields, extensions, () => undefined);
  const stored = await StoredCounts.open(file, fields);
  const plan = await planRefcounts(references, stored, signal);
  if (plan === undefined) return;
  const { clusterSize } = references.layout;
  for (const window of countWindows(plan.clusters, stored.perBlock, clusterSize)) {
    await references.count(window, {}, signal);
    // The counts count themselves.
    window.claim(plan.table.offset, plan.table.length, 1, true);
    for (const offset of plan.blocks) if (offset !== 0) window.claim(offset, clusterSize, 1, true);
    yield* blockPatches(file, stored, plan, window);
    yield* flagPatches(references, window, signal);
  }
  yield* tablePatches(stored, plan);
  yield* headerPatches(fields, plan, clusterSize);
}

/** Every block whose counts are not what they should be, whole. */
async function* blockPatches(
  file: ImageFile,
  stored: StoredCounts,
  plan: RefcountPlan,
  window: CountWindow,
): AsyncGenerator<Patch> {
  const { perBlock } = stored;
  const first = window.first / perBlock;
  // Blocks for what lies behind the end of the file are looked at with the last window.
  const isLast = window.first + window.counts.length >= plan.clusters;
  const last = isLast ? plan.blocks.length : Math.ceil((window.first + window.counts.length) / perBlock);
  for (let block = first; block < last; block++) {
    const offset = plan.blocks[block] ?? 0;
    if (offset === 0) continue;
    const start = block * perBlock - window.first;
    const bytes = stored.encode(window.counts.subarray(start, start + perBlock));
    const before = Buffer.alloc(bytes.length);
    await readPadded(file, before, offset);
    // A block that was in the table before and is right already stays; a new one is written in any case.
    if (stored.blockOffset(block) === offset && before.equals(bytes)) continue;
    yield { offset, bytes, reason: 'reference counts did not fit what refers to the clusters; counted anew' };
  }
}

/** Runs of entries whose COPIED flag does not fit the count, or that are compressed and have one. */
async function* flagPatches(references: References, window: CountWindow, signal: AbortSignal): AsyncGenerator<Patch> {
  const { layout, l1, l1Offset } = references;
  yield* changedRuns(l1, l1Offset, ENTRY, window, true);
  for await (const { host, table, active } of references.tables(signal)) {
    if (active) yield* changedRuns(table, host, layout.entrySize, window, false);
  }
}

function* changedRuns(
  table: Buffer,
  tableAt: number,
  entrySize: number,
  window: CountWindow,
  isL1: boolean,
): Generator<Patch> {
  const wrong = (at: number): boolean => {
    if (at >= table.length) return false;
    if (isCompressed(table, at)) return window.first === 0 && isCopied(table, at);
    const offset = offsetOf(table, at);
    // An L1 entry without a table has no business with the flag; QEMU takes the header for its table.
    if (offset === 0) return isL1 && window.first === 0 && isCopied(table, at);
    const count = window.at(offset);
    return count !== undefined && (count === 1) !== isCopied(table, at);
  };
  for (let at = 0; at < table.length; at += entrySize) {
    if (!wrong(at)) continue;
    const start = at;
    while (wrong(at + entrySize)) at += entrySize;
    const bytes = Buffer.from(table.subarray(start, at + entrySize));
    for (let entry = 0; entry < bytes.length; entry += entrySize) {
      bytes[entry] = (bytes[entry] as number) ^ 0x80; // bit 63
    }
    yield { offset: tableAt + start, bytes, reason: 'COPIED flags did not fit the reference counts; set right' };
  }
}

function* tablePatches(stored: StoredCounts, plan: RefcountPlan): Generator<Patch> {
  const bytes = Buffer.alloc(plan.table.length);
  plan.blocks.forEach((offset, block) => bytes.writeBigUInt64BE(BigInt(offset), block * ENTRY));
  if (stored.place?.offset === plan.table.offset && bytes.equals(stored.table)) return;
  yield {
    offset: plan.table.offset,
    bytes,
    reason: 'the table of reference counts was incomplete or damaged; made anew',
  };
}

function* headerPatches(fields: HeaderFields, { table }: RefcountPlan, clusterSize: number): Generator<Patch> {
  const clusters = table.length / clusterSize;
  if (fields.refcountTableOffset !== BigInt(table.offset) || fields.refcountTableClusters !== clusters) {
    const bytes = Buffer.alloc(HEADER.snapshotCount - HEADER.refcountTableOffset);
    bytes.writeBigUInt64BE(BigInt(table.offset), 0);
    bytes.writeUInt32BE(clusters, HEADER.refcountTableClusters - HEADER.refcountTableOffset);
    yield { offset: HEADER.refcountTableOffset, bytes, reason: 'the table of reference counts is in a new place' };
  }
  const marks = INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt;
  if ((fields.incompatible & marks) !== 0n) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(fields.incompatible & ~marks);
    yield { offset: HEADER.incompatibleFeatures, bytes, reason: 'marked as dirty or corrupt; nothing of that is left' };
  }
}
