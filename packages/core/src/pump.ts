import { isZero } from './bytes.js';
import { BLOCK_SIZE, type Block, type DiskSource, type Extent } from './disk.js';
import type { DiskWriter } from './converter.js';

/** Blocks in flight: with their 2 MiB each, the whole memory of a pass but for the writers' own tables. */
const DEPTH = 6;

/** Granularity at which the pump itself looks for zeros, in bytes: a page, and the block of most file systems. */
const PAGE = 4096;

export interface PumpOptions {
  readonly signal: AbortSignal;
  /** Bytes of data read so far, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Reads a disk once and hands every block that holds data to every writer. Each writer gets its blocks in order and one
 * at a time; writers do not wait for each other, except that the slowest holds the others back when all buffers are
 * on loan. Rejects with the first failure, after everything that was going on has come to rest.
 */
export async function pump(
  source: DiskSource,
  writers: readonly DiskWriter[],
  { signal, onProgress }: PumpOptions,
): Promise<void> {
  let total = 0;
  for await (const extent of source.extents(signal)) total += extent.length;

  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const buffers = bufferPool(DEPTH);
  // One promise chain a writer. A chain never rejects: its first failure stops the pass.
  const chains: Promise<void>[] = writers.map(() => Promise.resolve());
  const work = async (step: () => Promise<void>) => {
    if (stop.aborted) return;
    await step().catch((error: unknown) => failed.abort(error));
  };

  let done = 0;
  onProgress?.(0, total);
  try {
    for await (const { offset, extents } of groupByBlock(source, stop)) {
      const buffer = await buffers.take();
      if (stop.aborted) break;
      const bytes = buffer.subarray(0, Math.min(BLOCK_SIZE, source.size - offset));
      const block = await readBlock(source, offset, bytes, extents);
      done += extents.reduce((sum, extent) => sum + extent.length, 0);
      if (block === undefined) {
        buffers.give(buffer);
      } else {
        for (const writer of writers) writer.prepare?.(block);
        writers.forEach((writer, index) => {
          chains[index] = (chains[index] ?? Promise.resolve()).then(() => work(() => writer.write(block)));
        });
        void Promise.all(chains).then(() => buffers.give(buffer));
      }
      // A file system that writes back may tell of more data the second time.
      onProgress?.(done, Math.max(done, total));
    }
  } catch (error) {
    failed.abort(error);
  }
  await Promise.all(chains);
  stop.throwIfAborted();
}

/** Splits ascending extents at block boundaries and gathers those of one block. */
async function* groupByBlock(
  source: DiskSource,
  signal: AbortSignal,
): AsyncGenerator<{ offset: number; extents: Extent[] }> {
  let current: { offset: number; extents: Extent[] } | undefined;
  let position = 0;
  for await (const { offset, length } of source.extents(signal)) {
    if (offset < position || length <= 0 || offset + length > source.size) {
      throw new Error(`the disk's extents are out of order or outside the disk: offset ${offset}, length ${length}`);
    }
    position = offset + length;
    for (let at = offset; at < position;) {
      const start = Math.floor(at / BLOCK_SIZE) * BLOCK_SIZE;
      const end = Math.min(position, start + BLOCK_SIZE);
      if (current?.offset !== start) {
        if (current !== undefined) yield current;
        signal.throwIfAborted();
        current = { offset: start, extents: [] };
      }
      current.extents.push({ offset: at, length: end - at });
      at = end;
    }
  }
  if (current !== undefined) yield current;
}

/** Reads a block's extents and clears the rest of the buffer. Undefined when all of it is zero. */
async function readBlock(
  source: DiskSource,
  offset: number,
  bytes: Uint8Array,
  extents: readonly Extent[],
): Promise<Block | undefined> {
  let cleared = 0;
  for (const extent of extents) {
    bytes.fill(0, cleared, extent.offset - offset);
    cleared = extent.offset - offset + extent.length;
  }
  bytes.fill(0, cleared);
  await Promise.all(
    extents.map((extent) =>
      source.read(bytes.subarray(extent.offset - offset, extent.offset - offset + extent.length), extent.offset),
    ),
  );
  return createBlock(offset, bytes, extents);
}

/**
 * A block over `bytes`. `extents` (positions on the disk) may narrow down where data can be; without them all of it is
 * searched. Undefined when every byte is zero: such blocks are never handed to a writer.
 */
export function createBlock(
  offset: number,
  bytes: Uint8Array,
  extents: readonly Extent[] = [{ offset, length: bytes.length }],
): Block | undefined {
  const pages = new Uint8Array(Math.ceil(bytes.length / PAGE));
  let any = false;
  for (const extent of extents) {
    const first = Math.floor((extent.offset - offset) / PAGE);
    const last = Math.ceil((extent.offset - offset + extent.length) / PAGE);
    for (let page = first; page < last; page++) {
      if (pages[page] === 1 || isZero(bytes.subarray(page * PAGE, (page + 1) * PAGE))) continue;
      pages[page] = 1;
      any = true;
    }
  }
  return any ? { offset, bytes, runs: (unit) => runs(bytes, pages, unit) } : undefined;
}

function* runs(bytes: Uint8Array, pages: Uint8Array, unit: number): Generator<Extent> {
  let start = -1;
  for (let at = 0; at < bytes.length; at += unit) {
    const end = Math.min(at + unit, bytes.length);
    if (hasData(bytes, pages, at, end, unit)) {
      if (start < 0) start = at;
    } else if (start >= 0) {
      yield { offset: start, length: at - start };
      start = -1;
    }
  }
  if (start >= 0) yield { offset: start, length: bytes.length - start };
}

function hasData(bytes: Uint8Array, pages: Uint8Array, start: number, end: number, unit: number): boolean {
  for (let page = Math.floor(start / PAGE); page < Math.ceil(end / PAGE); page++) {
    if (pages[page] === 1) return unit >= PAGE || !isZero(bytes.subarray(start, end));
  }
  return false;
}

/** Buffers on loan: `take` waits until one is free. */
function bufferPool(count: number): { take(): Promise<Uint8Array>; give(buffer: Uint8Array): void } {
  const free: Uint8Array[] = [];
  const waiting: ((buffer: Uint8Array) => void)[] = [];
  let made = 0;
  return {
    take: async () => {
      const buffer = free.pop();
      if (buffer !== undefined) return buffer;
      if (made < count) {
        made++;
        return new Uint8Array(BLOCK_SIZE);
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
    give: (buffer) => {
      const next = waiting.shift();
      if (next === undefined) free.push(buffer);
      else next(buffer);
    },
  };
}
