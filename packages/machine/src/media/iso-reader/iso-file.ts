import { type FileHandle, open } from 'node:fs/promises';
import { FormatError, ioError } from '@polyvisor/core';

/** The bytes of an ISO image that is being read; bounds are checked at every step, since the image may be anybody's. */
export interface IsoFile extends AsyncDisposable {
  readonly path: string;
  readonly size: number;
  /** Exactly `length` bytes. Throws `file-truncated` where the file ends before; `what` says what was to be read. */
  read(offset: number, length: number, what: string): Promise<Buffer>;
}

/** Once the signal fires, every read rejects with its reason. */
export async function openIsoFile(path: string, signal?: AbortSignal): Promise<IsoFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw ioError(error, `cannot read ${path}`);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw isoInvalid(path, 0, 'an ISO image', 'no plain file');
    return {
      path,
      size: stats.size,
      read: reader(handle, path, stats.size, signal),
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function reader(handle: FileHandle, path: string, size: number, signal?: AbortSignal): IsoFile['read'] {
  return async (offset, length, what) => {
    signal?.throwIfAborted();
    if (offset + length > size) throw truncated(path, size, what, offset + length);
    const buffer = Buffer.alloc(length);
    for (let done = 0; done < length;) {
      const { bytesRead } = await handle.read(buffer, done, length - done, offset + done).catch((error: unknown) => {
        throw ioError(error, `cannot read ${path}`);
      });
      if (bytesRead === 0) throw truncated(path, offset + done, what, offset + length);
      done += bytesRead;
    }
    return buffer;
  };
}

function truncated(file: string, size: number, what: string, end: number): FormatError {
  return new FormatError('file-truncated', `the ISO image ends within ${what}`, {
    file,
    offset: size,
    expected: `at least ${end} bytes`,
    found: `${size} bytes`,
    hint: 'download or copy it again',
  });
}

/** The image breaks a rule of ISO 9660 or of one of its extensions. */
export function isoInvalid(file: string, offset: number, expected: string, found: string): FormatError {
  return new FormatError('iso-invalid', 'this is no ISO 9660 file system that can be read', {
    file,
    offset,
    expected,
    found,
  });
}
