import { type DiskSink, type DiskSource, type Extent, type ImageFile, FormatError, isZero } from '@polyvisor/core';

/** Bytes at a position; whatever lies between the pieces of a disk is zero. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A disk in memory that costs what its pieces cost, and counts how often each of its bytes was read. */
export interface MemoryDisk extends DiskSource {
  /** The extents read so far, in the order of reading. */
  readonly reads: readonly Extent[];
}

/** `pieces` ascend and do not overlap. */
export function memoryDisk(size: number, pieces: readonly Piece[]): MemoryDisk {
  const reads: Extent[] = [];
  return {
    size,
    reads,
    async *extents() {
      for (const { offset, bytes } of pieces) {
        await Promise.resolve();
        yield { offset, length: bytes.length };
      }
    },
    read: async (into, offset) => {
      if (offset < 0 || offset + into.length > size)
        throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${size}`);
      await Promise.resolve();
      reads.push({ offset, length: into.length });
      into.fill(0);
      for (const piece of pieces) copyOverlap(piece.bytes, piece.offset, into, offset);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function copyOverlap(from: Uint8Array, fromOffset: number, into: Uint8Array, intoOffset: number): void {
  const start = Math.max(fromOffset, intoOffset);
  const end = Math.min(fromOffset + from.length, intoOffset + into.length);
  if (start < end) into.set(from.subarray(start - fromOffset, end - fromOffset), start - intoOffset);
}

/** A sparse file in memory: what a writer wrote, readable as an image. */
export interface MemorySink extends DiskSink {
  /** Set by `end`. */
  readonly size: number | undefined;
  /** Largest number of bytes that were being written at the same time. */
  readonly peak: number;
  /** The first write that did not start behind all earlier ones, in the order in which they were asked for. */
  readonly wentBack: { readonly from: number; readonly to: number } | undefined;
  /** The file written so far, as a reader gets it, with the files beside it. */
  file(path?: string): ImageFile;
  /** Further files of the same output, by name; made by `beside`. */
  readonly files: ReadonlyMap<string, MemorySink>;
  beside(name: string): Promise<MemorySink>;
  /** The whole content; for small files. */
  bytes(): Uint8Array;
}

export interface MemorySinkOptions {
  /** Rejects every write that starts before the end of an earlier one. Gaps stay, and read as zeros. */
  readonly appendOnly?: boolean;
  /** Called before each write; may wait (a slow device) or throw (a full one). */
  readonly beforeWrite?: (offset: number, length: number) => Promise<void> | void;
}

const CHUNK = 64 * 1024;

export function memorySink({ appendOnly = false, beforeWrite }: MemorySinkOptions = {}): MemorySink {
  const chunks = new Map<number, Uint8Array>();
  const files = new Map<string, MemorySink>();
  let size: number | undefined;
  let length = 0;
  let wentBack: MemorySink['wentBack'];
  let writing = 0;
  let peak = 0;
  const readChunks = (into: Uint8Array, offset: number) => {
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const start = at % CHUNK;
      const count = Math.min(CHUNK - start, into.length - done);
      const chunk = chunks.get(Math.floor(at / CHUNK));
      if (chunk === undefined) into.fill(0, done, done + count);
      else into.set(chunk.subarray(start, start + count), done);
      done += count;
    }
  };
  return {
    get size() {
      return size;
    },
    get peak() {
      return peak;
    },
    get wentBack() {
      return wentBack;
    },
    write: async (bytes, offset) => {
      if (size !== undefined) throw new Error('the writer wrote after it ended the sink');
      if (offset < 0 || !Number.isSafeInteger(offset)) throw new RangeError(`write at ${offset}`);
      if (offset < length) {
        if (appendOnly) throw new Error(`an append-only sink was written at ${offset}, it stands at ${length}`);
        wentBack ??= { from: length, to: offset };
      }
      length = Math.max(length, offset + bytes.length);
      writing += bytes.length;
      peak = Math.max(peak, writing);
      await beforeWrite?.(offset, bytes.length);
      for (let done = 0; done < bytes.length;) {
        const at = offset + done;
        const index = Math.floor(at / CHUNK);
        const start = at % CHUNK;
        const count = Math.min(CHUNK - start, bytes.length - done);
        let chunk = chunks.get(index);
        const part = bytes.subarray(done, done + count);
        // Zeros where nothing is cost nothing, so that a disk may be written in full.
        if (chunk === undefined && !isZero(part)) chunks.set(index, (chunk = new Uint8Array(CHUNK)));
        chunk?.set(part, start);
        done += count;
      }
      writing -= bytes.length;
    },
    end: async (final) => {
      await Promise.resolve();
      if (size !== undefined) throw new Error('the writer ended the sink twice');
      if (appendOnly && final < length) throw new Error(`an append-only sink of ${length} bytes was cut to ${final}`);
      size = final;
    },
    files,
    beside: (name) => {
      if (files.has(name)) throw new Error(`the writer opened ${name} twice`);
      const further = memorySink({ appendOnly, ...(beforeWrite === undefined ? {} : { beforeWrite }) });
      files.set(name, further);
      return Promise.resolve(further);
    },
    file: (path = 'memory') =>
      closable({
        path,
        size: size ?? length,
        beside: (name) => {
          const further = files.get(name);
          return further === undefined ? Promise.reject(missing(path, name)) : Promise.resolve(further.file(name));
        },
        async *extents() {
          const end = size ?? length;
          for (const index of [...chunks.keys()].sort((a, b) => a - b)) {
            await Promise.resolve();
            if (index * CHUNK < end) yield { offset: index * CHUNK, length: Math.min(CHUNK, end - index * CHUNK) };
          }
        },
        read: async (into, offset) => {
          await Promise.resolve();
          if (offset + into.length > (size ?? length))
            throw new RangeError(`read of ${into.length} bytes at ${offset}, the file has ${size ?? length}`);
          readChunks(into, offset);
        },
      }),
    bytes: () => {
      const whole = new Uint8Array(size ?? length);
      readChunks(whole, 0);
      return whole;
    },
  };
}

/**
 * An image file over bytes in memory, for readers under test. Reads beyond the end fail as they do on a real file. `files` lie
 * beside it, by name.
 */
export function memoryFile(
  bytes: Uint8Array,
  path = 'memory',
  files: ReadonlyMap<string, Uint8Array> = new Map(),
): ImageFile {
  return closable({
    path,
    size: bytes.length,
    beside: (name) => {
      const further = files.get(name);
      return further === undefined ? Promise.reject(missing(path, name)) : Promise.resolve(memoryFile(further, name));
    },
    async *extents() {
      await Promise.resolve();
      if (bytes.length > 0) yield { offset: 0, length: bytes.length };
    },
    read: async (into, offset) => {
      await Promise.resolve();
      if (offset < 0 || offset + into.length > bytes.length) throw truncated(path, offset, into.length, bytes.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
  });
}

/** As a real file does, it cannot be read any more once it was disposed; a read that is still under way fails as well. */
function closable(file: Omit<ImageFile, typeof Symbol.asyncDispose>): ImageFile {
  let open = true;
  const expectOpen = () => {
    if (!open) throw new Error(`${file.path} was read after it was closed`);
  };
  return {
    ...file,
    read: async (into, offset) => {
      expectOpen();
      await file.read(into, offset);
      expectOpen();
    },
    [Symbol.asyncDispose]: () => {
      open = false;
      return Promise.resolve();
    },
  };
}

function missing(file: string, name: string): FormatError {
  return new FormatError('file-missing', `there is no ${name}`, { file });
}

function truncated(file: string, offset: number, wanted: number, size: number): FormatError {
  return new FormatError('file-truncated', 'the file ends too early', {
    file,
    offset,
    expected: `${wanted} bytes`,
    found: `a file of ${size} bytes`,
  });
}

/** Deterministic bytes that look random, from a seed: xorshift32. */
export function noise(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** Bytes that compress to about a third, as a file system's do: runs of noise, repetition and zeros. */
export function texture(length: number, seed = 1): Uint8Array {
  const bytes = noise(length, seed);
  for (let at = 0; at < length; at += 4096) {
    const page = bytes.subarray(at, at + 4096);
    if ((at / 4096) % 3 === 1) page.fill(0x20 + (seed % 64), 512);
    if ((at / 4096) % 3 === 2) page.fill(0, 1024);
  }
  return bytes;
}
