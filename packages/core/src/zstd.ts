import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import { EnvironmentError, FormatError } from './errors.js';
import { slots } from './slots.js';
import { ZstdFrames, zstdInvalid } from './zstd-frames.js';
import { zstdLibrary, type ZstdLibraryStream } from './zstd-library.js';

/** Node has zstd since 22.15 and 23.8; its types do not say so under Node 20. */
type NodeZstd = Readonly<Record<string, ((bytes: Uint8Array, options: object) => Promise<Uint8Array>) | undefined>>;
const nodeFunction = (name: string): NodeZstd[string] => {
  const found = (zlib as unknown as Record<string, Parameters<typeof promisify>[0] | undefined>)[name];
  return found === undefined ? undefined : (promisify(found) as unknown as NodeZstd[string]);
};
const nodeCompress = nodeFunction('zstdCompress');
const nodeDecompress = nodeFunction('zstdDecompress');

/** Number of `ZSTD_c_compressionLevel`, as Node and the library spell it. */
const COMPRESSION_LEVEL = 100;

/** History that a frame of a small piece of data may ask for, in bytes: what every decoder has to grant (RFC 8878 §3.1.1.1.2). */
const MAX_WINDOW = 8 * 1024 * 1024;

/** The same for whole files: the limit of the `zstd` command, 128 MiB. */
const MAX_STREAM_WINDOW_LOG = 27;

/** Calls at work at the same time; more would only hold memory while they wait for a thread. */
const inSlot = slots(8);

/** Whether `zstdCompress` works here. */
export async function zstdCanCompress(): Promise<boolean> {
  return nodeCompress !== undefined || (await zstdLibrary()) !== undefined;
}

/**
 * One zstd frame of `bytes`, level 1 to 19: by Node itself from 22.15 on, else by the system's libzstd. The frame depends on the
 * version of the library, as every compressor's output does.
 */
export async function zstdCompress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  return inSlot(async () => {
    if (nodeCompress !== undefined) return nodeCompress(bytes, { params: { [COMPRESSION_LEVEL]: level } });
    const library = await zstdLibrary();
    if (library === undefined) {
      throw new EnvironmentError('zstd-missing', `nothing here compresses with zstd: this is Node ${process.version}`, {
        hint: 'install libzstd (Debian: libzstd1), use Node 22.15 or newer, or choose zlib',
      });
    }
    const into = Buffer.allocUnsafeSlow(library.bound(bytes.length));
    return into.subarray(0, await library.compress(into, bytes, level));
  });
}

/**
 * Decodes frames until exactly `size` bytes are out; what follows them is ignored. Never gives more, and rejects with a
 * `FormatError` when there are fewer, when a frame goes on beyond them, or when it asks for absurd memory.
 */
export async function zstdDecompress(bytes: Uint8Array, size: number): Promise<Uint8Array> {
  return inSlot(async () => {
    const into = Buffer.allocUnsafeSlow(size);
    let read = 0;
    let written = 0;
    while (written < size) {
      const frames = new ZstdFrames({ maxWindow: MAX_WINDOW, maxContent: size - written });
      const length = frames.push(bytes.subarray(read), true);
      if (frames.frames === 0) {
        throw zstdInvalid('the zstd data ends too early', { expected: `${size} bytes`, found: `${written}` });
      }
      if (!frames.skippable) {
        const frame = bytes.subarray(read, read + length);
        written += await decodeFrame(frame, into.subarray(written)).catch((error: unknown) => {
          throw zstdInvalid('the zstd data cannot be decoded', { found: (error as Error).message, cause: error });
        });
      }
      read += length;
    }
    return into;
  });
}

/** Returns how many bytes the frame gave; rejects when they are more than fit. */
async function decodeFrame(frame: Uint8Array, into: Uint8Array): Promise<number> {
  const library = nodeDecompress === undefined ? await zstdLibrary() : undefined;
  if (library !== undefined) return library.decompress(into, frame);
  if (nodeDecompress === undefined) return decodeInJavaScript(frame, into);
  const decoded = await nodeDecompress(frame, { maxOutputLength: into.length });
  into.set(decoded);
  return decoded.length;
}

/** Exported for its test: the way that is taken only where there is neither Node's zstd nor the library. */
export function decodeInJavaScript(frame: Uint8Array, into: Uint8Array): number {
  let written = 0;
  new Decompress((part) => {
    if (written + part.length > into.length) throw new Error(`more than ${into.length} bytes`);
    into.set(part, written);
    written += part.length;
  }).push(frame, true);
  return written;
}

/** Bytes decoded at once, and taken from the input at once. */
const OUTPUT = 1024 * 1024;
const INPUT = 128 * 1024;

/** The same for the decoder in JavaScript: a run-length block of 4 bytes gives 128 KiB, so 512 bytes give up to 16 MiB. */
const STEP = 512;

/**
 * Expands a whole `.zst` file of any number of frames. Memory is the frames' window, at most 128 MiB, whatever the
 * length. Data after the last frame and a last frame that is cut short are `FormatError`s.
 */
export async function* zstdStream(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames({ maxWindow: 2 ** MAX_STREAM_WINDOW_LOG });
  const library = await zstdLibrary();
  const decode = library === undefined ? streamInJavaScript() : streamByLibrary(library.stream(MAX_STREAM_WINDOW_LOG));
  try {
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length; at += INPUT) {
        const part = chunk.subarray(at, at + INPUT);
        frames.push(part);
        yield* decode.push(part);
      }
    }
    if (frames.frames === 0 || !frames.atEnd)
      throw new FormatError('file-truncated', 'the zstd data ends in the middle of a frame');
  } finally {
    decode.free();
  }
}

interface StreamDecoder {
  push(bytes: Uint8Array): AsyncIterable<Uint8Array>;
  free(): void;
}

function streamByLibrary(stream: ZstdLibraryStream): StreamDecoder {
  return {
    async *push(bytes) {
      for (let rest = bytes, full = false; rest.length > 0 || full;) {
        // What is handed out is the reader's own, so each part gets memory of its own.
        const into = Buffer.allocUnsafeSlow(OUTPUT);
        const { written, read } = await stream.decompress(into, rest).catch((error: unknown) => {
          throw zstdInvalid('the zstd data cannot be decoded', { found: (error as Error).message, cause: error });
        });
        full = written === into.length;
        rest = rest.subarray(read);
        if (written > 0) yield into.subarray(0, written);
        else if (read === 0) return;
      }
    },
    free: () => stream.free(),
  };
}

/** Exported for its test, as above. It takes bytes in small steps, so that what a step gives is bounded as well. */
export function streamInJavaScript(): StreamDecoder {
  let parts: Uint8Array[] = [];
  const decoder = new Decompress((part) => void (part.length > 0 && parts.push(part.slice())));
  return {
    async *push(bytes) {
      for (let at = 0; at < bytes.length; at += STEP) {
        try {
          decoder.push(bytes.subarray(at, at + STEP));
        } catch (error) {
          throw zstdInvalid('the zstd data cannot be decoded', { found: (error as Error).message, cause: error });
        }
        const ready = parts;
        parts = [];
        yield* ready;
      }
      await Promise.resolve();
    },
    free: () => undefined,
  };
}
