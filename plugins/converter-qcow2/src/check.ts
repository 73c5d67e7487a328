import type { CheckOptions, Finding, ImageFile } from '@polyvisor/core';
import { reusedTooOften } from './compressed-reuse.js';
import { consumerRules, type Shape } from './consumer-rules.js';
import { type CountWindow, countWindows } from './count-window.js';
import { entryProblem, isCompressed, isCopied, offsetOf } from './entry.js';
import { type HeaderExtension, readExtensions } from './extensions.js';
import { FindingList } from './finding-list.js';
import { type HeaderFields, readHeaderFields } from './header-fields.js';
import { fileRules, headerRules } from './header-rules.js';
import { ENTRY } from './layout.js';
import { broken, References } from './references.js';
import { StoredCounts } from './stored-counts.js';

/** A file of more clusters than this (8 TiB with clusters of 64 KiB) would take too many passes over its tables. */
const MOST_CLUSTERS = 2 ** 27;

/**
 * Every rule of the header, the tables and the reference counts, and what the named consumer wants beyond them. Reads
 * tables only. Memory is bounded whatever the file says: 8 bytes for each L2 table that it names, and one `CountWindow`
 * with the stored counts beside it.
 */
export async function* checkQcow2(file: ImageFile, options: CheckOptions): AsyncGenerator<Finding> {
  for (const problem of fileRules(file)) return void (yield problem);
  const fields = await readHeaderFields(file);
  for (const problem of headerRules(file, fields)) {
    yield problem;
    if (problem.fatal === true) return;
  }
  const { extensions, problem } = await readExtensions(file, fields);
  if (problem !== undefined) yield problem;
  yield* checkTables(file, fields, extensions, options);
}

async function* checkTables(
  file: ImageFile,
  fields: HeaderFields,
  extensions: readonly HeaderExtension[],
  { signal, consumer }: CheckOptions,
): AsyncGenerator<Finding> {
  const findings = new FindingList();
  const references = await References.gather(file, fields, extensions, (finding) => findings.add(finding));
  for (const host of references.shared())
    findings.add(broken('qcow2-l2-shared', 'an L2 table is used twice', host, { expected: 'a place of its own' }));
  const stored = await StoredCounts.open(file, fields);
  checkRefcountTable(stored, references, findings);
  yield* findings.drain();

  const shape = new ShapeGatherer(references, fields);
  if (references.clusters > MOST_CLUSTERS) {
    yield {
      rule: 'qcow2-not-counted',
      severity: 'warning',
      message: 'the file has too many clusters for its reference counts to be checked',
      refusedBy: [],
      expected: `at most ${MOST_CLUSTERS}`,
      found: `${references.clusters}`,
      hint: 'qemu-img check takes a byte or more of memory for each of them',
    };
  } else {
    for (const window of countWindows(references.clusters, stored.perBlock, references.layout.clusterSize)) {
      await checkWindow({ references, stored, window, findings, shape }, signal);
      yield* findings.drain();
    }
  }
  yield* findings.rest();
  if (consumer !== undefined) yield* consumerRules(consumer, fields, shape.shape);
}

/** The entries of the refcount table, as far as there is a table. */
function checkRefcountTable(stored: StoredCounts, references: References, findings: FindingList): void {
  for (let block = 0; block * ENTRY < stored.table.length; block++) {
    if (stored.blockOffset(block) !== undefined) continue;
    findings.add({
      ...broken(
        'qcow2-refcount-block',
        'a refcount block at an impossible place',
        (stored.place?.offset ?? 0) + block * ENTRY,
        {
          expected: `a multiple of ${references.layout.clusterSize} inside the file`,
          found: `0x${stored.table.readBigUInt64BE(block * ENTRY).toString(16)}`,
        },
      ),
      hint: 'polyvisor repair makes a new one',
    });
  }
}

interface Work {
  readonly references: References;
  readonly stored: StoredCounts;
  readonly window: CountWindow;
  readonly findings: FindingList;
  readonly shape: ShapeGatherer;
}

async function checkWindow(work: Work, signal: AbortSignal): Promise<void> {
  const { references, stored, window, findings, shape } = work;
  const { layout, l1, l1Offset } = references;
  const kept = new Uint32Array(window.counts.length);
  await stored.load(kept, window.first);
  const keptAt = (host: number) => kept[Math.floor(host / layout.clusterSize) - window.first];
  const firstPass = window.first === 0;

  const copied = (table: Buffer, at: number, tableAt: number, what: string) => {
    const count = keptAt(offsetOf(table, at));
    if (count === undefined || (count === 1) === isCopied(table, at)) return;
    findings.add({
      ...broken('qcow2-copied', `the COPIED flag of ${what} does not fit its reference count`, tableAt + at, {
        expected: count === 1 ? 'set, as the count is 1' : `clear, as the count is ${count}`,
        found: isCopied(table, at) ? 'set' : 'clear',
      }),
      refusedBy: [],
      hint: 'polyvisor repair sets it right; a wrong one lets a write destroy a snapshot',
    });
  };
  for (let at = 0; at < l1.length; at += ENTRY) if (offsetOf(l1, at) !== 0) copied(l1, at, l1Offset, 'an L2 table');

  await references.count(
    window,
    {
      table: (host, table, active) => {
        if (firstPass) {
          checkEntries(work, host, table);
          shape.table(host, table, active);
        }
        if (!active) return;
        for (let at = 0; at < table.length; at += layout.entrySize)
          if (!isCompressed(table, at) && offsetOf(table, at) !== 0) copied(table, at, host, 'a data cluster');
      },
      overlap: (host, what) =>
        findings.add(
          broken('qcow2-overlap', `${what} shares its place with one of the image's tables`, host, {
            expected: 'a place of its own',
          }),
        ),
    },
    signal,
  );
  claimCounts(work);
  compareCounts(work, kept);
}

/** The table of the counts, and their blocks, which are counted as everything else. */
function claimCounts({ stored, window, findings, references }: Work): void {
  const { clusterSize } = references.layout;
  const claim = (host: number, length: number, rule: string, what: string) => {
    if (!window.claim(host, length, 1, true)) return;
    findings.add({
      ...broken(rule, `${what} shares its place with something else`, host, { expected: 'a place of its own' }),
      hint: 'polyvisor repair makes a new one',
    });
  };
  if (stored.place !== undefined) {
    claim(stored.place.offset, stored.place.length, 'qcow2-refcount-table', 'the refcount table');
  }
  for (let block = 0; block * ENTRY < stored.table.length; block++) {
    const offset = stored.blockOffset(block) ?? 0;
    if (offset !== 0) claim(offset, clusterSize, 'qcow2-refcount-block', 'a refcount block');
  }
}

function checkEntries({ references: { layout }, findings }: Work, host: number, table: Buffer): void {
  for (let at = 0; at < table.length; at += layout.entrySize) {
    const problem = entryProblem(layout, table, at);
    if (problem === undefined) continue;
    const finding = broken(problem.rule, problem.message, host + at, problem);
    // QEMU itself looks at none of these when it opens an image.
    findings.add({ ...finding, refusedBy: [] });
  }
  const reused = reusedTooOften(layout, table);
  if (reused !== undefined) {
    findings.add({
      ...broken('qcow2-bomb', 'one compressed cluster stands for more than a thousand', host + reused, {}),
      refusedBy: [],
    });
  }
}

/** Neighbours with the same mistake are told together. */
function compareCounts({ window, findings, references }: Work, kept: Uint32Array): void {
  const { clusterSize } = references.layout;
  const { counts, first } = window;
  for (let index = 0; index < counts.length; index++) {
    const [count, stored] = [counts[index] as number, kept[index] as number];
    if (count === stored) continue;
    const start = index;
    while (counts[index + 1] === count && kept[index + 1] === stored) index++;
    const clusters = index - start + 1;
    const offset = (first + start) * clusterSize;
    const many = clusters === 1 ? '' : ` of ${clusters} clusters`;
    if (stored > count) {
      findings.add({
        rule: 'qcow2-leak',
        severity: 'warning',
        message: count === 0 ? 'space in the file is lost: nothing refers to it' : 'a reference count is too large',
        refusedBy: [],
        offset,
        expected: `a reference count of ${count}${many}`,
        found: `${stored}`,
        hint: 'polyvisor repair sets it right',
      });
    } else {
      findings.add({
        ...broken('qcow2-refcount', 'a reference count is too small: a write could destroy what is in use', offset, {
          expected: `${count}${many}`,
          found: `${stored}`,
        }),
        refusedBy: [],
        hint: 'polyvisor repair sets it right',
      });
    }
  }
}

/** Gathers what the consumers' rules look at, while the tables go by. */
class ShapeGatherer {
  readonly #references: References;
  readonly #fields: HeaderFields;
  #compressed = 0;
  #data = 0;
  #firstData = Infinity;
  #lastData = 0;
  #lastTable: number;

  constructor(references: References, fields: HeaderFields) {
    this.#references = references;
    this.#fields = fields;
    this.#lastTable = references.l1Offset + Math.max(0, references.l1.length - 1);
  }

  table(host: number, table: Buffer, active: boolean): void {
    if (!active) return;
    this.#lastTable = Math.max(this.#lastTable, host);
    const { entrySize } = this.#references.layout;
    for (let at = 0; at < table.length; at += entrySize) {
      const compressed = isCompressed(table, at);
      const data = compressed ? 0 : offsetOf(table, at);
      if (compressed) this.#compressed++;
      if (data === 0) continue;
      this.#data++;
      this.#firstData = Math.min(this.#firstData, data);
      this.#lastData = Math.max(this.#lastData, data);
    }
  }

  get shape(): Shape {
    const { clusterSize } = this.#references.layout;
    const clusterOf = (offset: number) => Math.floor(offset / clusterSize);
    return {
      size: Number(this.#fields.size),
      compressed: this.#compressed,
      dataClusters: this.#data,
      streamable:
        this.#data > 0 &&
        clusterOf(this.#firstData) === clusterOf(this.#lastTable) + 1 &&
        clusterOf(this.#lastData) - clusterOf(this.#firstData) + 1 === this.#data,
    };
  }
}

/** Rules that `repair` can set right, because nothing but the mapping of the disk decides what they should be. */
export const MENDABLE: ReadonlySet<string> = new Set([
  'qcow2-leak',
  'qcow2-refcount',
  'qcow2-copied',
  'qcow2-compressed-copied',
  'qcow2-refcount-table',
  'qcow2-refcount-block',
  'qcow2-dirty',
  'qcow2-corrupt',
]);
