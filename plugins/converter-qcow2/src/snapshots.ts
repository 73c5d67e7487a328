import { FormatError, type ImageFile, readPadded, roundUp, type Snapshot } from '@polyvisor/core';
import type { HeaderFields } from './header-fields.js';
import { misplaced } from './header-rules.js';
import { ENTRY, MAX_L1_ENTRIES, MAX_SNAPSHOT_EXTRA, MAX_SNAPSHOT_TABLE, SNAPSHOT } from './layout.js';

/** An internal snapshot: what people know it by, and the L1 table that is the disk of then. */
export interface StoredSnapshot extends Snapshot {
  /** Place of its entry in the file. */
  readonly at: number;
  readonly l1Offset: bigint;
  readonly l1Size: number;
}

/** Bytes of the table read at once. */
const CHUNK = 64 * 1024;

/**
 * The entries of the snapshot table, each of its own length, read in order. Yields at last how many bytes they took; a
 * table that leaves the file, or is larger than QEMU takes, is a `FormatError`.
 */
export async function* readSnapshots(file: ImageFile, header: HeaderFields): AsyncGenerator<StoredSnapshot, number> {
  const start = Number(header.snapshotsOffset);
  let at = start;
  let chunk = Buffer.alloc(0);
  let chunkAt = start;
  const fail = (what: string, offset: number, expected: string, found: string): never => {
    throw new FormatError('qcow2-invalid', what, { file: file.path, offset, expected, found });
  };
  const take = async (length: number): Promise<Buffer> => {
    if (at + length > file.size) {
      fail('the snapshot table goes beyond the end of the file', at, `${length} bytes`, `a file of ${file.size} bytes`);
    }
    if (at - start + length > MAX_SNAPSHOT_TABLE) {
      fail(
        'the snapshot table is too large',
        at,
        `at most ${MAX_SNAPSHOT_TABLE} bytes`,
        `${at - start + length} or more`,
      );
    }
    if (at + length > chunkAt + chunk.length) {
      chunk = Buffer.alloc(Math.max(length, CHUNK));
      chunkAt = at;
      await readPadded(file, chunk, at);
    }
    return chunk.subarray(at - chunkAt, at - chunkAt + length);
  };
  for (let index = 0; index < header.snapshotCount; index++) {
    const entry = at;
    const fixed = await take(SNAPSHOT.length);
    const idLength = fixed.readUInt16BE(SNAPSHOT.idLength);
    const nameLength = fixed.readUInt16BE(SNAPSHOT.nameLength);
    const extra = fixed.readUInt32BE(SNAPSHOT.extraLength);
    const l1Size = fixed.readUInt32BE(SNAPSHOT.l1Size);
    const l1Offset = fixed.readBigUInt64BE(SNAPSHOT.l1Offset);
    const seconds = fixed.readUInt32BE(SNAPSHOT.seconds);
    if (extra > MAX_SNAPSHOT_EXTRA) {
      fail(
        `the snapshot ${index + 1} has too much extra data`,
        entry + SNAPSHOT.extraLength,
        `at most ${MAX_SNAPSHOT_EXTRA} bytes`,
        `${extra}`,
      );
    }
    at += SNAPSHOT.length + extra;
    const id = (await take(idLength)).toString('utf8');
    at += idLength;
    const name = (await take(nameLength)).toString('utf8');
    at = roundUp(at + nameLength - start, 8) + start;
    yield { at: entry, id, name, l1Offset, l1Size, ...(seconds === 0 ? {} : { time: seconds }) };
  }
  return at - start;
}

/** Why a snapshot's L1 table cannot be one; undefined where it can. */
export function snapshotTableWrong(
  file: ImageFile,
  { clusterBits }: HeaderFields,
  { l1Offset, l1Size }: StoredSnapshot,
): string | undefined {
  if (l1Size > MAX_L1_ENTRIES) return `at most ${MAX_L1_ENTRIES} entries`;
  if (l1Size === 0) return undefined;
  return misplaced(file, l1Offset, 2 ** clusterBits, l1Size * ENTRY);
}

/** All of them, for `OpenImage.snapshots`. */
export async function listSnapshots(file: ImageFile, header: HeaderFields): Promise<Snapshot[]> {
  const list: Snapshot[] = [];
  if (header.snapshotCount === 0) return list;
  for await (const snapshot of readSnapshots(file, header)) {
    const { id, name, time } = snapshot;
    const expected = snapshotTableWrong(file, header, snapshot);
    if (expected !== undefined) {
      throw new FormatError(
        'qcow2-invalid',
        `the L1 table of snapshot ${JSON.stringify(name)} at an impossible place`,
        {
          file: file.path,
          offset: snapshot.at,
          expected,
          found: `${snapshot.l1Size} entries at ${snapshot.l1Offset}`,
        },
      );
    }
    list.push({ id, name, ...(time === undefined ? {} : { time }) });
  }
  return list;
}
