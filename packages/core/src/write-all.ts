import type { FileHandle } from 'node:fs/promises';
import { ioError } from './io-error.js';

/** Larger writes into a fresh sparse file were up to eight times slower on ext4 (docs/performance.md). */
const PIECE = 256 * 1024;

/** Writes all bytes, for one call may take fewer. `name` is what messages call the file. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, offset: number, name: string): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const piece = Math.min(PIECE, bytes.length - done);
    const { bytesWritten } = await handle.write(bytes, done, piece, offset + done).catch((error: unknown) => {
      throw ioError(error, `cannot write ${piece} bytes at offset ${offset + done} of ${name}`);
    });
    done += bytesWritten;
  }
}
