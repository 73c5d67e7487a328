import { errorKind, type Finding, FormatError, type ImageFile, readPadded } from '@polyvisor/core';
import { type Area, bitmapAreas } from './bitmaps.js';
import type { CountWindow } from './count-window.js';
import { compressedAt, type EntryLayout, isCompressed, l1Problem, offsetOf } from './entry.js';
import type { HeaderExtension } from './extensions.js';
import type { HeaderFields } from './header-fields.js';
import { CONSUMERS, ENTRY, EXTENSION, l2EntrySize } from './layout.js';
import { readSnapshots, snapshotTableWrong } from './snapshots.js';

/** L2 tables that all snapshots together may name. 8 bytes each. */
const MAX_SNAPSHOT_TABLES = 2 ** 22;

/** Bytes of a snapshot's L1 table read at once. */
const CHUNK = 1024 * 1024;

export interface NamedTable {
  readonly host: number;
  readonly table: Buffer;
  /** How many L1 entries name it, those of snapshots included. */
  readonly weight: number;
  /** The disk of now uses it. */
  readonly active: boolean;
}

export interface Observer {
  /** Called with each L2 table, before its clusters are counted. `active`: the disk of now uses it. */
  table?(host: number, table: Buffer, active: boolean): void;
  /** One of the image's tables shares a cluster with something else. */
  overlap?(host: number, what: string): void;
}

/** Everything in an image that refers to clusters of the file, but for the reference counts themselves. */
export class References {
  readonly #file: ImageFile;
  readonly layout: EntryLayout;
  /** The active L1 table. */
  readonly l1: Buffer;
  readonly l1Offset: number;
  /** L1 tables of snapshots, the snapshot table, bitmaps, the encryption header. */
  readonly #areas: readonly Area[];
  /** Host offsets of the L2 tables, ascending; those named several times several times. */
  readonly #active: Float64Array;
  readonly #others: Float64Array;

  private constructor(
    file: ImageFile,
    layout: EntryLayout,
    l1: Buffer,
    l1Offset: number,
    areas: readonly Area[],
    others: Float64Array,
  ) {
    this.#file = file;
    this.layout = layout;
    this.l1 = l1;
    this.l1Offset = l1Offset;
    this.#areas = areas;
    this.#active = soundTables(layout, l1).sort();
    this.#others = others;
  }

  /** Reads the tables that lead to the others. What is wrong with them is reported and left out. */
  static async gather(
    file: ImageFile,
    fields: HeaderFields,
    extensions: readonly HeaderExtension[],
    report: (finding: Finding) => void,
  ): Promise<References> {
    const { clusterBits, version } = fields;
    const layout: EntryLayout = {
      version,
      clusterBits,
      clusterSize: 2 ** clusterBits,
      entrySize: l2EntrySize(fields.incompatible),
      fileSize: file.size,
    };
    const l1 = Buffer.alloc(fields.l1Size * ENTRY);
    await readPadded(file, l1, Number(fields.l1Offset));
    for (let at = 0; at < l1.length; at += ENTRY) {
      const problem = l1Problem(layout, l1, at);
      if (problem !== undefined) report(broken(problem.rule, problem.message, Number(fields.l1Offset) + at, problem));
    }
    const snapshots = await snapshotReferences(file, fields, layout, report);
    const bitmaps = await bitmapAreas(file, fields, extensions, (offset, expected) =>
      report(broken('qcow2-bitmaps', 'a bitmap at an impossible place', offset, { expected })),
    );
    const areas = [...snapshots.areas, ...bitmaps, ...encryptionArea(file, extensions)];
    return new References(file, layout, l1, Number(fields.l1Offset), areas, snapshots.tables);
  }

  /** Clusters of the file; the last one may be cut short. */
  get clusters(): number {
    return Math.ceil(this.layout.fileSize / this.layout.clusterSize);
  }

  /** L2 tables that the active L1 table names more than once. */
  *shared(): Generator<number> {
    for (let index = 1; index < this.#active.length; index++) {
      if (this.#active[index] === this.#active[index - 1] && this.#active[index] !== this.#active[index - 2])
        yield this.#active[index] as number;
    }
  }

  /** Counts all references to the clusters of a window, and shows every L2 table to the observer. */
  async count(window: CountWindow, observer: Observer, signal: AbortSignal): Promise<void> {
    const { clusterSize } = this.layout;
    const claim = (host: number, length: number, weight: number, isTable: boolean, what: string) => {
      if (length > 0 && window.claim(host, length, weight, isTable)) observer.overlap?.(host, what);
    };
    claim(0, clusterSize, 1, true, 'the header');
    claim(this.l1Offset, this.l1.length, 1, true, 'the L1 table');
    for (const { offset, length } of this.#areas) claim(offset, length, 1, true, 'a snapshot, a bitmap or encryption');
    for await (const { host, table, weight, active } of this.tables(signal)) {
      observer.table?.(host, table, active);
      claim(host, clusterSize, weight, true, 'an L2 table');
      for (let at = 0; at < clusterSize; at += this.layout.entrySize) {
        if (isCompressed(table, at)) {
          const { host: data, span } = compressedAt(this.layout, table, at);
          claim(data, span, weight, false, 'a compressed cluster');
        } else {
          const data = offsetOf(table, at);
          if (data !== 0 && data % clusterSize === 0) claim(data, clusterSize, weight, false, 'a data cluster');
        }
      }
    }
  }

  /** Each L2 table once, ascending, with how often it is named. `table` is reused for the next one. */
  async *tables(signal: AbortSignal): AsyncGenerator<NamedTable> {
    const table = Buffer.alloc(this.layout.clusterSize);
    let a = 0;
    let b = 0;
    while (a < this.#active.length || b < this.#others.length) {
      const host = Math.min(this.#active[a] ?? Infinity, this.#others[b] ?? Infinity);
      const active = this.#active[a] === host;
      let weight = 0;
      for (; this.#active[a] === host; a++) weight++;
      for (; this.#others[b] === host; b++) weight++;
      signal.throwIfAborted();
      await readPadded(this.#file, table, host);
      yield { host, table, weight, active };
    }
  }
}

/** The offsets in an L1 table that can be followed. */
function soundTables(layout: EntryLayout, l1: Buffer): Float64Array {
  const sound = (at: number) => {
    const offset = offsetOf(l1, at);
    return offset !== 0 && offset % layout.clusterSize === 0 && offset < layout.fileSize;
  };
  let count = 0;
  for (let at = 0; at < l1.length; at += ENTRY) if (sound(at)) count++;
  const list = new Float64Array(count);
  let next = 0;
  for (let at = 0; at < l1.length; at += ENTRY) if (sound(at)) list[next++] = offsetOf(l1, at);
  return list;
}

async function snapshotReferences(
  file: ImageFile,
  fields: HeaderFields,
  layout: EntryLayout,
  report: (finding: Finding) => void,
): Promise<{ readonly areas: Area[]; readonly tables: Float64Array }> {
  const areas: Area[] = [];
  const parts: Float64Array[] = [];
  let entries = 0;
  let named = 0;
  if (fields.snapshotCount === 0) return { areas, tables: new Float64Array(0) };
  const list = readSnapshots(file, fields);
  try {
    let next = await list.next();
    for (; next.done !== true; next = await list.next()) {
      const { at, name, l1Offset, l1Size } = next.value;
      const wrong = snapshotTableWrong(file, fields, next.value);
      if (wrong !== undefined) {
        const what = `the L1 table of snapshot ${JSON.stringify(name)} at an impossible place`;
        report(broken('qcow2-snapshot-l1', what, at, { expected: wrong, found: `${l1Offset}` }));
        continue;
      }
      areas.push({ offset: Number(l1Offset), length: l1Size * ENTRY });
      entries += l1Size;
      // Tables of their own cannot be larger together than the file, so more of them overlap.
      if (entries * ENTRY > file.size || named > MAX_SNAPSHOT_TABLES) {
        report(broken('qcow2-snapshot-l1', 'the L1 tables of the snapshots overlap, or are too many', at, {}));
        return { areas: [], tables: new Float64Array(0) };
      }
      for (let start = 0; start < l1Size * ENTRY; start += CHUNK) {
        const chunk = Buffer.alloc(Math.min(CHUNK, l1Size * ENTRY - start));
        await readPadded(file, chunk, Number(l1Offset) + start);
        for (let entry = 0; entry < chunk.length; entry += ENTRY) {
          const problem = l1Problem(layout, chunk, entry);
          // The flags of snapshots' tables mean nothing.
          if (problem !== undefined && problem.harmless !== true)
            report(broken(problem.rule, problem.message, Number(l1Offset) + start + entry, problem));
        }
        parts.push(soundTables(layout, chunk));
        named += parts.at(-1)?.length ?? 0;
      }
    }
    areas.push({ offset: Number(fields.snapshotsOffset), length: next.value });
  } catch (error) {
    if (errorKind(error) !== 'format') throw error;
    const { message, offset, expected, found } = error as FormatError;
    report(broken('qcow2-snapshot-table', message, offset ?? 0, { expected, found }));
  }
  const tables = new Float64Array(named);
  let filled = 0;
  for (const part of parts) {
    tables.set(part, filled);
    filled += part.length;
  }
  return { areas, tables: tables.sort() };
}

/** Where LUKS keeps its keys: counted, so that an encrypted image can be checked all the same. */
function encryptionArea(file: ImageFile, extensions: readonly HeaderExtension[]): Area[] {
  const data = extensions.find(({ type }) => type === EXTENSION.encryption)?.data;
  if (data?.length !== 16) return [];
  const offset = Number(data.readBigUInt64BE(0));
  const length = Number(data.readBigUInt64BE(8));
  return offset + length <= file.size ? [{ offset, length }] : [];
}

/** An error that nobody tolerates. */
export function broken(
  rule: string,
  message: string,
  offset: number,
  { expected, found }: { readonly expected?: string | undefined; readonly found?: string | undefined },
): Finding {
  return {
    rule,
    severity: 'error',
    message,
    offset,
    refusedBy: CONSUMERS,
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
  };
}
