import { createIdentity, errorKind, type ImageFile, type Patch } from '@polyvisor/core';
import { checksumWithout } from './crc32c.js';
import { NULL_GUID, readGuid, writeGuid } from './guid.js';
import { HEADER, MIB, PAYLOAD, REGION_TABLE } from './layout.js';
import {
  type Header,
  type HeaderCopy,
  hasIdentifier,
  isLogEmpty,
  readHeader,
  readHeaderCopies,
  sequenceOf,
} from './read-headers.js';
import { readImage } from './read-image.js';
import { readTableCopies } from './read-regions.js';
import { type Replay, readLoggedPage, readReplay, replayed } from './replay.js';
import { refusing } from './rules.js';

/** A log that makes the file longer by more than this is not replayed for good: the file would be all zeros there. */
const MAX_GROWTH = 4 * 1024 * MIB;

/**
 * What the format keeps twice is mended from the copy that is sound, the log is replayed into the file and emptied, and a last
 * block that was cut off gets its zeros. Headers come last, so that a repair that was interrupted can be done again.
 */
export async function* repairVhdx(file: ImageFile, signal: AbortSignal): AsyncGenerator<Patch> {
  if (!(await hasIdentifier(file))) return;
  const copies = await readHeaderCopies(file);
  const mended = withAgreement(copies);
  if (mended === undefined) return;
  // Everything that follows is read as it will be once the headers are sound.
  const sound = overlaid(file, mended);
  const header = await attempt(() => readHeader(sound, refusing(sound)));
  if (header === undefined) return;
  let clean: ImageFile = sound;
  if (!isLogEmpty(header)) {
    const replay = await attempt(() => readReplay(sound, header, refusing(sound)));
    if (replay === undefined || replay.size - file.size > MAX_GROWTH) return;
    yield* replayForGood(file, replay, signal);
    clean = replayed(sound, replay);
  }
  yield* mendTables(clean);
  yield* mendLastBlock(clean);
  yield* mendHeaders(copies, mended, header);
}

/** Undefined where the image is refused: what cannot be read cannot be mended without guessing. */
async function attempt<Result>(work: () => Promise<Result | undefined>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (errorKind(error) === 'format') return undefined;
    throw error;
  }
}

/** Valid copies as they are; two invalid ones that agree in all but sequence number and checksum, with the right sum. */
function withAgreement(copies: readonly [HeaderCopy, HeaderCopy]): readonly HeaderCopy[] | undefined {
  if (copies.some(({ flaw }) => flaw === undefined)) return copies;
  const contents = copies.map(({ bytes }) => bytes.subarray(HEADER.fileWriteGuid));
  const isHeader = copies.every(({ bytes }) => bytes.toString('latin1', 0, 4) === HEADER.magic);
  if (!isHeader || !(contents[0] as Buffer).equals(contents[1] as Buffer)) return undefined;
  return copies.map((copy) => ({ ...copy, bytes: summed(copy.bytes, HEADER.checksum), flaw: undefined }));
}

/** The structure with the checksum that it should have. */
function summed(bytes: Buffer, field: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32LE(checksumWithout(copy, field), field);
  return copy;
}

/** The file with other headers. */
function overlaid(file: ImageFile, headers: readonly HeaderCopy[]): ImageFile {
  return {
    path: file.path,
    size: file.size,
    extents: (signal) => file.extents(signal),
    read: async (into, offset) => {
      await file.read(into, offset);
      for (const { offset: at, bytes } of headers) {
        const from = Math.max(offset, at);
        const to = Math.min(offset + into.length, at + bytes.length);
        if (from < to) into.set(bytes.subarray(from - at, to - at), from - offset);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function* replayForGood(file: ImageFile, replay: Replay, signal: AbortSignal): AsyncGenerator<Patch> {
  const reason = 'the log was not empty; its changes are now in the file';
  for (let at = file.size; at < replay.size; at += MIB) {
    signal.throwIfAborted();
    yield { offset: at, bytes: new Uint8Array(Math.min(MIB, replay.size - at)), reason };
  }
  for (const zero of replay.zeros) {
    // Holes are zero as they are, so a range costs no more than what is stored in it.
    for await (const { offset, length } of file.extents(signal)) {
      const end = Math.min(zero.offset + zero.length, offset + length);
      if (offset >= zero.offset + zero.length) break;
      for (let at = Math.max(zero.offset, offset); at < end; at += MIB) {
        yield { offset: at, bytes: new Uint8Array(Math.min(MIB, end - at)), reason };
      }
    }
  }
  for (const page of replay.pages) {
    signal.throwIfAborted();
    yield { offset: page.offset, bytes: await readLoggedPage(file, page), reason };
  }
}

/** A region table from the other one, or, when both have wrong sums and say the same, with the right sum. */
async function* mendTables(file: ImageFile): AsyncGenerator<Patch> {
  const copies = await readTableCopies(file);
  const [first, second] = copies;
  const agreeing =
    first.bytes.length > 0 &&
    first.bytes.toString('latin1', 0, 4) === REGION_TABLE.magic &&
    first.bytes.subarray(REGION_TABLE.count).equals(second.bytes.subarray(REGION_TABLE.count));
  const sound =
    copies.find(({ flaw }) => flaw === undefined)?.bytes ??
    (agreeing ? summed(first.bytes, REGION_TABLE.checksum) : undefined);
  if (sound === undefined) return;
  for (const { offset, flaw } of copies) {
    if (flaw === undefined) continue;
    yield { offset, bytes: sound, reason: 'a region table was damaged; it is now like the other one' };
  }
}

/** Old versions of QEMU end the file where the disk ends, and Hyper-V wants whole blocks. */
async function* mendLastBlock(file: ImageFile): AsyncGenerator<Patch> {
  const image = await attempt(() => readImage(file, refusing(file)));
  if (image === undefined) return;
  const { bat } = image;
  const { state, offset } = await bat.payload(bat.blocks - 1);
  const end = offset + bat.disk.blockSize;
  if (state < PAYLOAD.fullyPresent || offset + bat.needed(bat.blocks - 1) > file.size || end <= file.size) return;
  for (let at = file.size; at < end; at += MIB) {
    const bytes = new Uint8Array(Math.min(MIB, end - at));
    yield { offset: at, bytes, reason: 'the last block was not there as a whole; the file now reaches to its end' };
  }
}

/** Headers that are valid, differ in their sequence numbers, and name an empty log. */
function* mendHeaders(found: readonly HeaderCopy[], mended: readonly HeaderCopy[], current: Header): Generator<Patch> {
  const base = mended.find(({ offset }) => offset === current.offset) as HeaderCopy;
  if (!isLogEmpty(current)) {
    const emptied = Buffer.from(base.bytes);
    writeGuid(emptied, NULL_GUID, HEADER.logGuid);
    // Whoever changes the file gives it a new GUID; a derived one, so that the same repair gives the same file.
    const before = readGuid(base.bytes, HEADER.fileWriteGuid);
    writeGuid(emptied, createIdentity(before).uuid('vhdx repair'), HEADER.fileWriteGuid);
    const reason = 'the headers said that the log is not empty; now it is';
    for (const [index, { offset }] of found.entries())
      yield { offset, bytes: numbered(emptied, current.sequence + BigInt(index + 1)), reason };
    return;
  }
  for (const { offset, flaw } of found) {
    if (flaw === undefined) continue;
    const copy = mended.find((header) => header.offset === offset) as HeaderCopy;
    const bytes = copy.flaw === undefined ? copy.bytes : numbered(base.bytes, current.sequence + 1n);
    yield { offset, bytes, reason: 'a header was damaged; it is now valid' };
  }
  const sequences = mended.filter(({ flaw }) => flaw === undefined).map(sequenceOf);
  if (sequences.length === 2 && sequences[0] === sequences[1]) {
    const bytes = numbered(base.bytes, current.sequence + 1n);
    const offset = (mended[1] as HeaderCopy).offset;
    yield { offset, bytes, reason: 'both headers had the same sequence number; now the second is the later one' };
  }
}

function numbered(header: Buffer, sequence: bigint): Buffer {
  const copy = Buffer.from(header);
  copy.writeBigUInt64LE(BigInt.asUintN(64, sequence), HEADER.sequence);
  return summed(copy, HEADER.checksum);
}
