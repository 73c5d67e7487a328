import { type DiskConverter, type DiskSource, errorKind, type ImageFile, type Patch } from '@polyvisor/core';
import { memoryFile } from '@polyvisor/testkit';

/** Data read of one input, in bytes: enough for whatever a small file can hold, and for a part of a bomb. */
const MOST_DATA = 16 * 1024 * 1024;
const MOST_EXTENTS = 50_000;
const MOST_FINDINGS = 100_000;
const CHUNK = 256 * 1024;

/** What an input did to a reader that it must not do. */
export class Violation extends Error {
  constructor(what: string, cause?: unknown) {
    super(what, { cause });
    this.name = 'Violation';
  }
}

/**
 * Takes an input through all that a command does with an image from a stranger. Returns when the reader behaved: it read the
 * image, or refused it with an error of the right kind. Anything else is a `Violation`.
 */
export async function exercise(converter: DiskConverter, input: Uint8Array): Promise<void> {
  const file = untrustedFile(input);
  await behaving('detect', () => converter.detect(file));
  await behaving('open and read', () => readAll(converter, file));
  await behaving('check', () => checkAll(converter, file));
  await behaving('repair', () => repairAll(converter, file));
}

/** An image in memory that has files beside it for whoever asks: none of them is there. */
function untrustedFile(input: Uint8Array): ImageFile {
  const file = memoryFile(input, 'input');
  return {
    ...file,
    read: async (into, offset) => {
      if (!Number.isSafeInteger(offset) || offset < 0) throw new Violation(`the reader read at ${offset}`);
      await file.read(into, offset);
    },
  };
}

async function behaving(step: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Violation) throw error;
    // Options and the machine (a codec that is not installed) may refuse as well.
    const kind = errorKind(error);
    if (kind === 'format' || kind === 'environment' || kind === 'definition') return;
    throw new Violation(`${step}: ${String((error as Error | undefined)?.message ?? error)}`, error);
  }
}

async function readAll(converter: DiskConverter, file: ImageFile): Promise<void> {
  const { disk } = await converter.open(file);
  try {
    if (!Number.isSafeInteger(disk.size) || disk.size <= 0 || disk.size % 512 !== 0)
      throw new Violation(`a disk of ${disk.size} bytes`);
    await readData(disk);
  } finally {
    await disk[Symbol.asyncDispose]();
  }
}

async function readData(disk: DiskSource): Promise<void> {
  const first = new Uint8Array(CHUNK);
  const second = new Uint8Array(CHUNK);
  let position = 0;
  let read = 0;
  let extents = 0;
  for await (const { offset, length } of disk.extents()) {
    if (offset < position || length <= 0 || offset + length > disk.size)
      throw new Violation(`extent ${offset}+${length} after ${position}, of a disk of ${disk.size} bytes`);
    position = offset + length;
    for (let at = offset; at < position && read < MOST_DATA; at += CHUNK) {
      const count = Math.min(CHUNK, position - at);
      await disk.read(first.subarray(0, count), at);
      // The last part of each extent is read again, so that a buffer used twice shows.
      if (at + CHUNK >= position) {
        second.fill(0xa5);
        await disk.read(second.subarray(0, count), at);
        if (Buffer.compare(first.subarray(0, count), second.subarray(0, count)) !== 0)
          throw new Violation(`two readings of ${at}+${count} differ`);
      }
      read += count;
    }
    if (++extents > MOST_EXTENTS || read >= MOST_DATA) return;
  }
}

async function checkAll(converter: DiskConverter, file: ImageFile): Promise<void> {
  if (converter.check === undefined) return;
  let findings = 0;
  for await (const finding of converter.check(file, { signal: never })) {
    if (finding.rule === '' || finding.message === '') throw new Violation('a finding without a rule or a message');
    if (++findings > MOST_FINDINGS) throw new Violation(`more than ${MOST_FINDINGS} findings about ${file.size} bytes`);
  }
}

async function repairAll(converter: DiskConverter, file: ImageFile): Promise<void> {
  for await (const { offset, bytes } of patches(converter, file)) {
    if (!Number.isSafeInteger(offset) || offset < 0 || bytes.length === 0)
      throw new Violation(`a patch of ${bytes.length} bytes at ${offset}`);
  }
}

/** The input with its checksums, counts and copies mended, so that what lies behind them is reached. The input itself if nothing is. */
export async function mended(converter: DiskConverter, input: Uint8Array, limit: number): Promise<Uint8Array> {
  let bytes = input;
  try {
    for await (const patch of patches(converter, memoryFile(input))) {
      const end = patch.offset + patch.bytes.length;
      if (end > limit) continue;
      if (bytes === input) bytes = new Uint8Array(input);
      if (end > bytes.length) {
        const longer = new Uint8Array(end);
        longer.set(bytes);
        bytes = longer;
      }
      bytes.set(patch.bytes, patch.offset);
    }
  } catch {
    // whatever it is, `exercise` will meet it too
  }
  return bytes;
}

function patches(converter: DiskConverter, file: ImageFile): AsyncIterable<Patch> {
  return converter.repair?.(file, never) ?? none();
}

async function* none(): AsyncGenerator<never> {
  // the converter cannot mend
}

const never = new AbortController().signal;
