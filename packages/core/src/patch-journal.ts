import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { PatchTally, type RepairSummary } from './apply-patches.js';
import type { ImageFile } from './disk.js';
import { DefinitionError, EnvironmentError, errorKind, FormatError } from './errors.js';
import { openImageFile } from './file.js';
import { ioError } from './io-error.js';
import { commitOutputs, createOutput, syncDirectory } from './output.js';
import type { Patch } from './repair.js';
import { writeAll } from './write-all.js';

/**
 * undo file = header, { record };  record = offset u64, old length u32, new length u32, old bytes, new bytes.
 * All numbers little-endian. The header has the mark, the file's size before and after (u64 each), the number of records (u64) and
 * the CRC-32 of all records (u32). It gets its name only when it is complete and durable, so one that is there can be trusted.
 */
const MARK = 'polyvisor-undo1\n';
const HEADER_SIZE = 64;
const RECORD_HEAD = 16;

/** Bytes of one record's halves; longer patches are split, so that memory stays flat. */
const PIECE = 1024 * 1024;

/** Where an image's bytes are kept while it is repaired in place. */
export function undoPathOf(path: string): string {
  return `${path}.undo`;
}

/**
 * Changes a file where it lies. All bytes to be replaced, and those to replace them, are first made durable beside it; only then the
 * file is touched, and what is beside it goes when the file itself is durable. Whatever ends the run in between, the file is then as
 * it was, or `undoRepair` makes it so. `file` is the open file of that path.
 */
export async function patchInPlace(
  path: string,
  file: ImageFile,
  patches: AsyncIterable<Patch>,
  signal: AbortSignal,
): Promise<RepairSummary> {
  await refuseUnsafe(path);
  const summary = await record(path, file, patches, signal);
  if (summary.patches === 0) return summary;
  try {
    await replay(path, 'new');
  } catch (error) {
    await undoRepair(path); // when this fails as well, the undo file stays, and the error says what to do
    throw error;
  }
  await removeUndo(path);
  return summary;
}

/** Gives a file back the bytes that it had before a repair in place which did not come to its end. */
export async function undoRepair(path: string): Promise<void> {
  try {
    await replay(path, 'old');
  } catch (error) {
    const kind = errorKind(error);
    if (kind === 'definition' || kind === 'format') throw error;
    throw new EnvironmentError('repair-interrupted', `${path} is half repaired and cannot be put back`, {
      hint: `mend the cause, then run \`polyvisor repair ${path} --undo\`; keep ${undoPathOf(path)} until then`,
      cause: error,
    });
  }
  await removeUndo(path);
}

async function refuseUnsafe(path: string): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    throw ioError(error, `cannot repair ${path}`);
  });
  if (!stats.isFile()) {
    throw new DefinitionError('not-a-file', `${path} is no regular file, so it cannot be repaired in place`, {
      hint: 'have a new file written with -o',
    });
  }
  if ((await stat(undoPathOf(path)).catch(() => undefined)) === undefined) return;
  throw new DefinitionError('repair-interrupted', `an earlier repair of ${path} did not come to its end`, {
    hint: `take it back first: polyvisor repair ${path} --undo`,
  });
}

/** Writes the undo file. Patches are bounded by what the converter yields; none is held in memory. */
async function record(
  path: string,
  file: ImageFile,
  patches: AsyncIterable<Patch>,
  signal: AbortSignal,
): Promise<RepairSummary> {
  const tally = new PatchTally(file.size);
  const output = await createOutput(undoPathOf(path), false);
  try {
    let position = HEADER_SIZE;
    let records = 0;
    let checksum = 0;
    for await (const patch of patches) {
      signal.throwIfAborted();
      tally.add(patch);
      for (let at = 0; at < patch.bytes.length; at += PIECE) {
        const bytes = patch.bytes.subarray(at, at + PIECE);
        const entry = await recordOf(file, patch.offset + at, bytes);
        await output.sink.write(entry, position);
        checksum = crc32(entry, checksum);
        position += entry.length;
        records++;
      }
    }
    const summary = tally.summary();
    if (summary.patches === 0) {
      await output.discard();
      return summary;
    }
    const header = Buffer.alloc(HEADER_SIZE);
    header.write(MARK);
    header.writeBigUInt64LE(BigInt(file.size), 16);
    header.writeBigUInt64LE(BigInt(summary.size), 24);
    header.writeBigUInt64LE(BigInt(records), 32);
    header.writeUInt32LE(checksum, 40);
    await output.sink.write(header, 0);
    await output.sink.end(position);
    await commitOutputs([output], false);
    return summary;
  } catch (error) {
    await output.discard();
    throw error;
  }
}

/** Old bytes are those of the file before any patch, so the order in which they are put back does not matter. */
async function recordOf(file: ImageFile, offset: number, bytes: Uint8Array): Promise<Buffer> {
  const oldLength = Math.max(0, Math.min(bytes.length, file.size - offset));
  const entry = Buffer.alloc(RECORD_HEAD + oldLength + bytes.length);
  entry.writeBigUInt64LE(BigInt(offset));
  entry.writeUInt32LE(oldLength, 8);
  entry.writeUInt32LE(bytes.length, 12);
  if (oldLength > 0) await file.read(entry.subarray(RECORD_HEAD, RECORD_HEAD + oldLength), offset);
  entry.set(bytes, RECORD_HEAD + oldLength);
  return entry;
}

interface Header {
  readonly sizeBefore: number;
  readonly sizeAfter: number;
  readonly records: number;
  readonly checksum: number;
}

/** Writes one half of every record into the file, and makes it durable. */
async function replay(path: string, half: 'old' | 'new'): Promise<void> {
  await using undo = await openUndo(path);
  const header = await readHeader(undo);
  await checkRecords(undo, header); // all of them, before the first byte is written
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r+');
    const { size } = await handle.stat();
    if (size < header.sizeBefore || size > header.sizeAfter) {
      throw new FormatError('undo-foreign', `the undo file belongs to another state of ${path}`, {
        file: undo.path,
        expected: `an image of ${header.sizeBefore} to ${header.sizeAfter} bytes`,
        found: `${size} bytes`,
        hint: 'the image was changed or exchanged since; remove the undo file if you want it as it is',
      });
    }
    for await (const { offset, oldLength, entry } of records(undo, header)) {
      const from = half === 'old' ? RECORD_HEAD : RECORD_HEAD + oldLength;
      const bytes = entry.subarray(from, half === 'old' ? RECORD_HEAD + oldLength : entry.length);
      await writeAll(handle, bytes, offset, path);
    }
    if (half === 'old') await handle.truncate(header.sizeBefore);
    await handle.sync();
  } catch (error) {
    throw ioError(error, `cannot change ${path}`);
  } finally {
    await handle?.close();
  }
}

async function openUndo(path: string): Promise<ImageFile> {
  if ((await stat(undoPathOf(path)).catch(() => undefined)) === undefined) {
    throw new DefinitionError('undo-missing', `there is no ${undoPathOf(path)}: no repair in place was interrupted`);
  }
  return openImageFile(undoPathOf(path));
}

async function readHeader(undo: ImageFile): Promise<Header> {
  const bytes = Buffer.alloc(HEADER_SIZE);
  if (undo.size >= HEADER_SIZE) await undo.read(bytes, 0);
  if (bytes.toString('latin1', 0, MARK.length) !== MARK) throw damaged(undo, 0, 'no undo file of a repair');
  return {
    sizeBefore: Number(bytes.readBigUInt64LE(16)),
    sizeAfter: Number(bytes.readBigUInt64LE(24)),
    records: Number(bytes.readBigUInt64LE(32)),
    checksum: bytes.readUInt32LE(40),
  };
}

async function checkRecords(undo: ImageFile, header: Header): Promise<void> {
  let checksum = 0;
  for await (const { offset, newLength, entry } of records(undo, header)) {
    checksum = crc32(entry, checksum);
    if (offset + newLength > header.sizeAfter) throw damaged(undo, undefined, 'a record outside the image');
  }
  if (checksum !== header.checksum) throw damaged(undo, 40, 'records that do not match the checksum');
}

async function* records(undo: ImageFile, header: Header) {
  const head = Buffer.alloc(RECORD_HEAD);
  let position = HEADER_SIZE;
  for (let index = 0; index < header.records; index++) {
    await undo.read(head, position);
    const offset = Number(head.readBigUInt64LE());
    const oldLength = head.readUInt32LE(8);
    const newLength = head.readUInt32LE(12);
    if (oldLength > PIECE || newLength > PIECE) throw damaged(undo, position, 'a record that is too long');
    const entry = Buffer.alloc(RECORD_HEAD + oldLength + newLength);
    await undo.read(entry, position);
    yield { offset, oldLength, newLength, entry };
    position += entry.length;
  }
}

function damaged(undo: ImageFile, offset: number | undefined, found: string): FormatError {
  return new FormatError('undo-damaged', 'the undo file cannot be used', {
    file: undo.path,
    offset,
    expected: 'what a repair in place wrote',
    found,
    hint: 'nothing was changed; remove it if the image is as you want it',
  });
}

async function removeUndo(path: string): Promise<void> {
  await rm(undoPathOf(path), { force: true });
  await syncDirectory(dirname(path));
}
