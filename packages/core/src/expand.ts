import { formatBytes } from './bytes.js';
import { type Compression, COMPRESSION_HEAD, compressionOf, compressionOfFile } from './compression.js';
import type { ByteSource, ImageFile } from './disk.js';
import { errorKind, FormatError } from './errors.js';
import { runProgram } from './expand-program.js';
import { gunzip } from './gunzip.js';
import type { PluginContext } from './plugin.js';
import { spool } from './spool.js';
import { zstdStream } from './zstd.js';

const GIBIBYTE = 2 ** 30;
const TEBIBYTE = 2 ** 40;

/** At most `flat` bytes, and `ratio` more for each byte of the compressed file, and never more than `most`. */
export interface ExpansionLimit {
  readonly flat: number;
  readonly ratio: number;
  readonly most: number;
}

export interface ExpansionLimits {
  /** For what is not zero. */
  readonly data: ExpansionLimit;
  /** For all of it. */
  readonly total: ExpansionLimit;
}

/**
 * What a compressed file may become, so that a small one cannot fill a disk or keep a machine busy for days. Disks consist
 * of zeros for the most part, which cost neither space nor much time and which zstd stores at 1 to 32768; what is not
 * zero hardly ever shrinks to a tenth.
 */
export const EXPANSION_LIMITS: ExpansionLimits = {
  data: { flat: 4 * GIBIBYTE, ratio: 64, most: Number.MAX_SAFE_INTEGER },
  total: { flat: 256 * GIBIBYTE, ratio: 32768, most: 64 * TEBIBYTE },
};

export interface ExpandOptions {
  /** Where the temporary file is made. */
  readonly directory: string;
  /** What is expanded, for messages. */
  readonly path: string;
  readonly programs: Pick<PluginContext, 'start'>;
  readonly signal: AbortSignal;
  /** Told in bytes of the compressed file. */
  readonly onProgress?: (done: number) => void;
  /** Default: `EXPANSION_LIMITS`. */
  readonly limits?: ExpansionLimits;
  /** Exact length of the expanded file in bytes, where it is known. */
  readonly size?: number;
}

/**
 * Expands a stream into a temporary file without a name; one that is not compressed is kept as it is. The caller disposes
 * the file. What is in it may not be compressed once more.
 */
export async function expand(bytes: AsyncIterable<Uint8Array>, options: ExpandOptions): Promise<ImageFile> {
  const { path, directory, signal, size, limits = EXPANSION_LIMITS } = options;
  let taken = 0;
  const counted = count(bytes, (length) => options.onProgress?.((taken += length)));
  const { head, whole } = await peek(counted, COMPRESSION_HEAD);
  const compression = compressionOf(head);
  const expanded = compression === undefined ? whole : decoders[compression](whole, options);
  const file = await spool(expanded, {
    directory,
    path,
    signal,
    onGrowth: (total, data) => {
      if (size !== undefined && total > size) throw wrongSize(path, size, `at least ${total} bytes`);
      if (compression === undefined) return;
      refuseBeyond(limits.data, ' that are not zero', data, taken, path);
      refuseBeyond(limits.total, '', total, taken, path);
    },
  });
  try {
    if (size !== undefined && file.size !== size) throw wrongSize(path, size, `${file.size} bytes`);
    const inner = compression === undefined ? undefined : await compressionOfFile(file);
    if (inner === undefined) return file;
    throw new FormatError('compressed-twice', `what was compressed with ${String(compression)} is compressed again`, {
      file: path,
      expected: 'an image',
      found: `${inner} data`,
      hint: 'expand it by hand',
    });
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** The bytes of a file from front to back. */
export async function* bytesOf(file: ByteSource, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size;) {
    signal.throwIfAborted();
    const part = new Uint8Array(Math.min(256 * 1024, file.size - at));
    await file.read(part, at);
    at += part.length;
    yield part;
  }
}

function refuseBeyond(
  { flat, ratio, most }: ExpansionLimit,
  what: string,
  found: number,
  compressed: number,
  path: string,
): void {
  const limit = Math.min(most, flat + ratio * compressed);
  if (found <= limit) return;
  throw new FormatError('expansion-too-large', 'the compressed file expands to more than any disk image would', {
    file: path,
    expected: `at most ${formatBytes(limit)}${what} from the ${compressed} bytes read so far`,
    found: formatBytes(found),
    hint: 'expand it by hand if you trust it',
  });
}

function wrongSize(path: string, expected: number, found: string): FormatError {
  return new FormatError('expansion-size', 'a compressed part does not have the size that is written down for it', {
    file: path,
    expected: `${expected} bytes`,
    found,
  });
}

async function* count(bytes: AsyncIterable<Uint8Array>, add: (length: number) => void): AsyncGenerator<Uint8Array> {
  for await (const part of bytes) {
    add(part.length);
    yield part;
  }
}

/** The first bytes of a stream, and a stream of all of it. */
async function peek(
  bytes: AsyncGenerator<Uint8Array>,
  length: number,
): Promise<{ readonly head: Uint8Array; readonly whole: AsyncGenerator<Uint8Array> }> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < length) {
    const { value, done } = await bytes.next();
    if (done === true) break;
    head = Buffer.concat([head, value]);
  }
  async function* whole() {
    yield head;
    yield* bytes;
  }
  return { head, whole: whole() };
}

type Decoder = (bytes: AsyncGenerator<Uint8Array>, options: ExpandOptions) => AsyncGenerator<Uint8Array>;

const decoders: Readonly<Record<Compression, Decoder>> = {
  gzip: (bytes, { path }) => gunzip(bytes, path),
  xz: (bytes, options) => runProgram('xz', bytes, options),
  bzip2: (bytes, options) => runProgram('bzip2', bytes, options),
  zstd: (bytes, { path }) => expandZstd(bytes, path),
};

/** The decoder does not know what it decodes. */
async function* expandZstd(bytes: AsyncGenerator<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* zstdStream(bytes);
  } catch (error) {
    if (errorKind(error) !== 'format' || (error as FormatError).file !== undefined) throw error;
    throw new FormatError((error as FormatError).code, (error as FormatError).message, { file: path, cause: error });
  }
}
