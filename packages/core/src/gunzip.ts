import { createGunzip } from 'node:zlib';
import { isZero } from './bytes.js';
import { FormatError } from './errors.js';

/**
 * Expands a gzip file (RFC 1952) of any number of members. Zeros may follow the last one, as tapes and block devices
 * leave them; anything else there is refused, because a member whose beginning is damaged looks just like that.
 */
export async function* gunzip(bytes: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  const decoder = createGunzip({ chunkSize: 256 * 1024 });
  let given = 0;
  let ended = false;
  const over = new Promise<void>((settle) => {
    for (const event of ['end', 'close']) decoder.once(event, settle);
  });
  // One part at a time: the decoder stops behind the last member, and what follows in that part has to be known.
  const feed = async () => {
    for await (const part of bytes) {
      const start = given;
      given += part.length;
      if (!ended) await Promise.race([over, new Promise((taken) => decoder.write(part, taken))]);
      ended ||= decoder.bytesWritten < given;
      if (ended) expectZeros(part, Math.max(0, decoder.bytesWritten - start), start, path);
    }
    decoder.end();
  };
  let failure: unknown;
  const feeding = feed().catch((error: unknown) => {
    failure = error;
    decoder.destroy(error as Error);
  });
  try {
    for await (const part of decoder) yield part as Uint8Array;
    await feeding;
    if (failure !== undefined) throw failure;
  } catch (error) {
    throw gzipError(error, path, decoder.bytesWritten);
  } finally {
    decoder.destroy();
  }
}

function expectZeros(part: Uint8Array, from: number, start: number, path: string): void {
  const rest = part.subarray(from);
  if (isZero(rest)) return;
  const offset = start + from + rest.findIndex((byte) => byte !== 0);
  throw new FormatError('gzip-damaged', 'something follows the compressed data', {
    file: path,
    offset,
    expected: 'another gzip member, zeros or the end of the file',
    found: `byte 0x${part[offset - start]?.toString(16).padStart(2, '0') ?? ''}`,
  });
}

const DAMAGES: Readonly<Record<string, string>> = {
  'incorrect data check': 'another checksum (CRC-32) than the one stored',
  'incorrect length check': 'another length than the one stored',
};

function gzipError(error: unknown, path: string, offset: number): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') {
    return new FormatError('file-truncated', 'the compressed file ends too early', {
      file: path,
      offset,
      expected: 'more gzip data',
      found: 'the end of the file',
      cause: error,
    });
  }
  if (code?.startsWith('Z_') !== true) return error;
  return new FormatError('gzip-damaged', 'the compressed data is damaged', {
    file: path,
    offset,
    expected: 'gzip data (RFC 1952)',
    found: DAMAGES[message] ?? message,
    cause: error,
  });
}
