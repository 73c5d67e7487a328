import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ByteSource, DiskSource, ImageFile } from './disk.js';
import { DefinitionError, FormatError } from './errors.js';
import { dataExtents } from './holes.js';
import { ioError } from './io-error.js';

/** Opens a regular file or a block device for reading. The caller disposes it. */
export async function openImageFile(path: string): Promise<ImageFile> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const stats = await handle.stat();
    if (!stats.isFile() && !stats.isBlockDevice()) {
      throw new DefinitionError(
        'not-a-file',
        `${path} is ${stats.isDirectory() ? 'a directory' : 'neither a file nor a block device'}, an image is wanted`,
      );
    }
    const size = stats.isFile() ? stats.size : await blockDeviceSize(handle);
    const source = fileSource(handle, path, size);
    return stats.isFile() ? { ...source, beside: (name) => openBeside(path, name) } : source;
  } catch (error) {
    await handle?.close();
    throw ioError(error, `cannot open ${path}`);
  }
}

/** Bytes of an open file. Takes over the handle: disposing closes it. */
export function fileSource(handle: FileHandle, path: string, size: number): ImageFile {
  return {
    path,
    size,
    extents: (signal) => dataExtents(handle.fd, size, signal),
    read: async (into, offset) => {
      let done = 0;
      while (done < into.length) {
        const { bytesRead } = await handle
          .read(into, done, into.length - done, offset + done)
          .catch((error: unknown) => {
            throw ioError(error, `cannot read ${into.length} bytes at offset ${offset} of ${path}`);
          });
        if (bytesRead === 0) {
          throw new FormatError('file-truncated', 'the file ends too early', {
            file: path,
            offset: offset + done,
            expected: `${into.length - done} more bytes`,
            found: 'the end of the file',
          });
        }
        done += bytesRead;
      }
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** A name that is one step down from a folder on every system: no separators, drives, control characters or dots alone. */
export const PLAIN_NAME = /^(?!\.{1,2}$)(?![A-Za-z]:)[^/\\\p{Cc}]{1,255}$/u;

/** `ImageFile.beside` for a file on disk: the folder is that of `path`, the rest comes from a stranger. */
async function openBeside(path: string, name: string): Promise<ImageFile> {
  const refuse = (found: string) =>
    new FormatError('file-foreign', `the image names ${JSON.stringify(name)} as a part of itself`, {
      file: path,
      expected: 'the plain name of a regular file in the same folder',
      found,
      hint: 'no other file is ever opened for an image; put its parts beside it if you trust it',
    });
  if (!PLAIN_NAME.test(name)) throw refuse('a path or a special name');
  const beside = join(dirname(path), name);
  let handle: FileHandle;
  try {
    // Without NONBLOCK the opening of a named pipe would wait for its other end.
    handle = await open(beside, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw refuse('a link');
    throw ioError(error, `cannot open ${beside}, which ${path} names as a part of itself`);
  }
  const stats = await handle.stat();
  if (stats.isFile()) return fileSource(handle, beside, stats.size);
  await handle.close();
  throw refuse('something that is not a regular file');
}

/** A block device has no length in its inode: Linux tells it in /sys, elsewhere the last readable byte is looked for. */
export async function blockDeviceSize(handle: FileHandle): Promise<number> {
  const { rdev } = await handle.stat();
  const sectors = await readFile(`/sys/dev/block/${deviceNumber(rdev)}/size`, 'utf8').catch(() => '');
  // Always in units of 512 bytes, whatever the sectors of the device (Documentation/ABI/stable/sysfs-block).
  if (/^\d+\s*$/.test(sectors)) return Number(sectors) * 512;
  const byte = new Uint8Array(1);
  const readable = async (at: number) =>
    (await handle.read(byte, 0, 1, at).catch(() => ({ bytesRead: 0 }))).bytesRead === 1;
  let low = 0;
  let high = Number.MAX_SAFE_INTEGER;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (await readable(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `major:minor` as /sys writes it; the number packs both (gnu_dev_makedev). */
export function deviceNumber(rdev: number): string {
  const number = BigInt(rdev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** A part of other bytes, such as a disk inside an archive. Borrows them: disposing it does nothing. */
export function windowOf(file: ImageFile, offset: number, size: number): ImageFile {
  return {
    path: file.path,
    size,
    async *extents(signal) {
      for await (const extent of file.extents(signal)) {
        const start = Math.max(extent.offset, offset);
        const end = Math.min(extent.offset + extent.length, offset + size);
        if (start < end) yield { offset: start - offset, length: end - start };
      }
    },
    read: (into, at) => file.read(into, at + offset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** The bytes of a file as a disk; a last sector that is cut short is filled up with zeros. Borrows the file. */
export function rawDisk(file: ByteSource, size: number): DiskSource {
  return {
    size,
    extents: (signal) => file.extents(signal),
    read: (into, offset) => readPadded(file, into, offset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Fills `into` from a source that may end before that; what is not there reads as zero. */
export async function readPadded(source: ByteSource, into: Uint8Array, offset: number): Promise<void> {
  const inside = Math.max(0, Math.min(into.length, source.size - offset));
  if (inside > 0) await source.read(into.subarray(0, inside), offset);
  into.fill(0, inside);
}

/** Bytes in the extents of a source: what a pass over it reads. */
export async function dataSize(source: ByteSource, signal?: AbortSignal): Promise<number> {
  let total = 0;
  for await (const extent of source.extents(signal)) total += extent.length;
  return total;
}
