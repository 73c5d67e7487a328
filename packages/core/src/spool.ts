import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isZero } from './bytes.js';
import { makeDirectory } from './directory.js';
import type { ImageFile } from './disk.js';
import { fileSource } from './file.js';
import { ioError } from './io-error.js';
import { ownerTag } from './owner.js';
import { writeAll } from './write-all.js';

/** Bytes gathered before they are looked at and written. */
const CHUNK = 1024 * 1024;

/** Zeros of this length, in bytes, are left out: the block of most file systems. */
const PAGE = 4096;

export interface SpoolOptions {
  /** Where the temporary file is made; the directory is made when missing. */
  readonly directory: string;
  /** What the bytes are, for messages: the path of the file that they come from. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Told after each part, in bytes so far: all of them, and those that were not zero. Throws to refuse the rest. */
  readonly onGrowth?: (total: number, data: number) => void;
}

/** Files of this process so far, so that each gets a name of its own. */
let count = 0;

/**
 * Keeps a stream of bytes in a temporary file, so that they can be read at any position. The file has no name from the
 * start, so nothing can be left behind; stretches of zeros become holes. The caller disposes it.
 */
export async function spool(
  bytes: AsyncIterable<Uint8Array>,
  { directory, path, signal, onGrowth }: SpoolOptions,
): Promise<ImageFile> {
  const handle = await openNameless(directory);
  const name = `a temporary file in ${directory}`;
  try {
    let total = 0;
    let data = 0;
    const buffer = Buffer.allocUnsafe(CHUNK);
    let filled = 0;
    const flush = async () => {
      for (const { start, end } of dataRuns(buffer.subarray(0, filled))) {
        await writeAll(handle, buffer.subarray(start, end), total + start, name);
        data += end - start;
      }
      total += filled;
      filled = 0;
      onGrowth?.(total, data);
    };
    for await (const part of bytes) {
      signal.throwIfAborted();
      for (let at = 0; at < part.length;) {
        const length = Math.min(part.length - at, CHUNK - filled);
        buffer.set(part.subarray(at, at + length), filled);
        at += length;
        filled += length;
        if (filled === CHUNK) await flush();
      }
    }
    await flush();
    await handle.truncate(total);
    return fileSource(handle, path, total);
  } catch (error) {
    await handle.close();
    throw ioError(error, `cannot keep ${path} in a temporary file in ${directory}`);
  }
}

async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, `polyvisor-${ownerTag()}-${count++}.tmp`);
  try {
    await makeDirectory(directory);
    const handle = await open(path, 'wx+', 0o600);
    await unlink(path);
    return handle;
  } catch (error) {
    throw ioError(error, `cannot make a temporary file in ${directory}`);
  }
}

/** The parts that are not zero, in whole pages, neighbours joined. */
function* dataRuns(bytes: Uint8Array): Generator<{ readonly start: number; readonly end: number }> {
  let start = -1;
  for (let at = 0; at < bytes.length; at += PAGE) {
    const empty = isZero(bytes.subarray(at, at + PAGE));
    if (!empty && start < 0) start = at;
    if (empty && start >= 0) {
      yield { start, end: at };
      start = -1;
    }
  }
  if (start >= 0) yield { start, end: bytes.length };
}
