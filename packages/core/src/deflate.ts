import { promisify } from 'node:util';
import { deflate, type ZlibOptions } from 'node:zlib';
import type { Block } from './disk.js';

const deflateAsync = promisify<Uint8Array, ZlibOptions, Uint8Array>(deflate);

/** Bytes of the zlib wrapper (RFC 1950) around a raw DEFLATE stream (RFC 1951). */
const ZLIB_HEADER = 2;
const ZLIB_TRAILER = 4;

/** The raw DEFLATE stream inside a zlib stream, without a copy. */
export function rawStream(zlibStream: Uint8Array): Uint8Array {
  return zlibStream.subarray(ZLIB_HEADER, zlibStream.length - ZLIB_TRAILER);
}

/**
 * Compresses parts of blocks on the thread pool. Each part is compressed once per level, however many writers ask: a
 * compressed cluster of a qcow2 file is, but for its zlib wrapper, the grain of a VMDK. Order is the caller's business.
 */
export interface Deflater {
  /** The zlib stream (RFC 1950, window 32 KiB) of `block.bytes[start, start + length)`, zero-padded to `length` at the end of the disk. */
  deflate(block: Block, start: number, length: number, level: number): Promise<Uint8Array>;
}

export function createDeflater(): Deflater {
  // Keyed by the block object, so that results go away with the block.
  const done = new WeakMap<Block, Map<string, Promise<Uint8Array>>>();
  return {
    deflate: (block, start, length, level) => {
      let parts = done.get(block);
      if (parts === undefined) done.set(block, (parts = new Map()));
      const key = `${start}+${length}@${level}`;
      let result = parts.get(key);
      if (result === undefined) {
        result = deflateAsync(padded(block.bytes, start, length), { level, memLevel: 9, chunkSize: length });
        parts.set(key, result);
      }
      return result;
    },
  };
}

function padded(bytes: Uint8Array, start: number, length: number): Uint8Array {
  if (start + length <= bytes.length) return bytes.subarray(start, start + length);
  const whole = new Uint8Array(length);
  whole.set(bytes.subarray(start));
  return whole;
}
