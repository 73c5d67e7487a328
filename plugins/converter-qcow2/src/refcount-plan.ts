import { countWindows } from './count-window.js';
import { ENTRY, MAX_REFCOUNT_TABLE } from './layout.js';
import type { References } from './references.js';
import type { StoredCounts } from './stored-counts.js';

/** Where a repaired image keeps its reference counts. */
export interface RefcountPlan {
  /** Clusters of the file, those included that are appended for the counts. */
  readonly clusters: number;
  /** In bytes. */
  readonly table: { readonly offset: number; readonly length: number };
  /** Host offset of each block, 0 where nothing is to be counted. */
  readonly blocks: Float64Array;
}

/**
 * Keeps the table and the blocks that are sound and in nobody's way, and puts what is missing behind the end of the
 * file. Undefined when a count does not fit the width of the image's counts, or no table could be large enough.
 */
export async function planRefcounts(
  references: References,
  stored: StoredCounts,
  signal: AbortSignal,
): Promise<RefcountPlan | undefined> {
  const { clusterSize } = references.layout;
  const { perBlock } = stored;
  const needed = new Set<number>();
  const used = await usedClusters(references, stored, needed, signal);
  if (used === undefined) return undefined;

  const entries = stored.table.length / ENTRY;
  const kept = new Map<number, number>();
  const taken = new Set<number>();
  const place = stored.place;
  const inTable = (offset: number) =>
    place !== undefined && offset >= place.offset && offset < place.offset + place.length;
  for (let block = 0; block < entries; block++) {
    const offset = stored.blockOffset(block) ?? 0;
    if (offset === 0 || used.has(offset) || taken.has(offset) || inTable(offset)) continue;
    taken.add(offset);
    kept.set(block, offset);
  }
  const tableFree = place !== undefined && !tableOffsets(place, clusterSize).some((offset) => used.has(offset));
  // The clusters of the counts are counted too, wherever they are.
  for (const offset of [...taken, ...(tableFree ? tableOffsets(place, clusterSize) : [])]) {
    needed.add(Math.floor(offset / clusterSize / perBlock));
  }

  let tableClusters = 0;
  let missing: number[] = [];
  for (;;) {
    const end = references.clusters + tableClusters + missing.length;
    for (let cluster = references.clusters; cluster < end; cluster += Math.min(perBlock, end - cluster)) {
      needed.add(Math.floor(cluster / perBlock));
    }
    if (end > references.clusters) needed.add(Math.floor((end - 1) / perBlock));
    const absent = [...needed].filter((block) => !kept.has(block));
    const highest = [...needed].reduce((most, block) => Math.max(most, block), 0);
    const newTable = !tableFree || highest >= entries ? Math.ceil(((highest + 1) * ENTRY) / clusterSize) : 0;
    if (newTable * clusterSize > MAX_REFCOUNT_TABLE) return undefined;
    if (absent.length === missing.length && newTable === tableClusters) break;
    missing = absent;
    tableClusters = newTable;
  }
  missing.sort((a, b) => a - b);

  const start = references.clusters * clusterSize;
  const table =
    tableClusters === 0 && place !== undefined ? place : { offset: start, length: tableClusters * clusterSize };
  const blocks = new Float64Array(table.length / ENTRY);
  for (const [block, offset] of kept) if (block < blocks.length) blocks[block] = offset;
  missing.forEach((block, index) => (blocks[block] = start + (tableClusters + index) * clusterSize));
  return { clusters: references.clusters + tableClusters + missing.length, table, blocks };
}

function tableOffsets({ offset, length }: { offset: number; length: number }, clusterSize: number): number[] {
  return Array.from({ length: length / clusterSize }, (_, index) => offset + index * clusterSize);
}

/**
 * Which of the clusters that hold the counts are wanted by something else. Fills `needed` with the blocks that have something
 * to count.
 */
async function usedClusters(
  references: References,
  stored: StoredCounts,
  needed: Set<number>,
  signal: AbortSignal,
): Promise<Set<number> | undefined> {
  const { clusterSize } = references.layout;
  const candidates: number[] = stored.place === undefined ? [] : tableOffsets(stored.place, clusterSize);
  for (let block = 0; block * ENTRY < stored.table.length; block++) {
    const offset = stored.blockOffset(block) ?? 0;
    if (offset !== 0) candidates.push(offset);
  }
  const used = new Set<number>();
  for (const window of countWindows(references.clusters, stored.perBlock, clusterSize)) {
    await references.count(window, {}, signal);
    for (let index = 0; index < window.counts.length; index++) {
      const count = window.counts[index] as number;
      if (count > stored.most) return undefined;
      if (count > 0) needed.add(Math.floor((window.first + index) / stored.perBlock));
    }
    for (const offset of candidates) if ((window.at(offset) ?? 0) > 0) used.add(offset);
  }
  return used;
}
