import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { FormatError, type ImageFile } from '@polyvisor/core';

/** Bytes read at once. */
const CHUNK = 256 * 1024;

/** A VMDK is never much larger than its disk: markers, tables, and what does not compress. */
const overhead = (capacity: number) => Math.ceil(capacity / 64) + 16 * 2 ** 20;

/**
 * Expands a disk that is gzipped as a whole. How long it will be, nobody says: it is counted in a first pass, which ends
 * as soon as it is longer than a disk of this capacity can be, so a bomb costs no space at all.
 */
export async function expandGzip(
  file: ImageFile,
  capacity: number,
  expand: (bytes: AsyncIterable<Uint8Array>, size: number) => Promise<ImageFile>,
): Promise<ImageFile> {
  const most = capacity + overhead(capacity);
  let size = 0;
  for await (const chunk of gunzip(file)) {
    size += chunk.length;
    if (size > most) {
      throw new FormatError('ova-invalid', 'the compressed disk is larger than its descriptor allows', {
        file: file.path,
        expected: `at most ${most} bytes for a disk of ${capacity}`,
        found: 'more than that',
      });
    }
  }
  return expand(gunzip(file), size);
}

async function* gunzip(file: ImageFile): AsyncGenerator<Uint8Array> {
  const source = Readable.from(chunksOf(file));
  const expanded = createGunzip({ chunkSize: CHUNK });
  source.once('error', (error) => expanded.destroy(error));
  try {
    for await (const chunk of source.pipe(expanded)) yield chunk as Uint8Array;
  } catch (error) {
    if (!isZlibError(error)) throw error;
    throw new FormatError('ova-invalid', 'the disk is not the gzip file that the descriptor says', {
      file: file.path,
      cause: error,
      found: (error as Error).message,
    });
  } finally {
    source.destroy();
    expanded.destroy();
  }
}

function isZlibError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && code.startsWith('Z_');
}

async function* chunksOf(file: ImageFile): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < file.size; offset += CHUNK) {
    const bytes = new Uint8Array(Math.min(CHUNK, file.size - offset));
    await file.read(bytes, offset);
    yield bytes;
  }
}
