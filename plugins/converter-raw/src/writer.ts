import type { Block, ConvertJob, DiskSink, DiskWriter } from '@polyvisor/core';
import type { RawOptions } from './options.js';

/** Bytes below which a stretch of zeros is written rather than left out: the block of most file systems. */
const HOLE_UNIT = 4096;

/** Zeros written at once, in bytes. */
const ZEROS = new Uint8Array(256 * 1024);

export function createRawWriter({ size, sink, options, signal }: ConvertJob<RawOptions>): DiskWriter {
  return options.preallocation === 'full' ? fullWriter(size, sink, signal) : sparseWriter(size, sink);
}

/** Writes what is data, front to back; the gaps become holes of the file. */
function sparseWriter(size: number, sink: DiskSink): DiskWriter {
  return {
    size,
    order: 'append',
    write: async ({ offset, bytes, runs }: Block) => {
      const writes = Array.from(runs(HOLE_UNIT), (run) =>
        sink.write(bytes.subarray(run.offset, run.offset + run.length), offset + run.offset),
      );
      // Lent memory must be free again when this rejects.
      const failure = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
      if (failure !== undefined) throw failure.reason;
    },
    finish: () => sink.end(size),
    abort: () => Promise.resolve(),
  };
}

/** Writes every byte, so that the file has all its space from the start and no write of the guest can find none left. */
function fullWriter(size: number, sink: DiskSink, signal: AbortSignal): DiskWriter {
  let position = 0;
  const fill = async (end: number) => {
    while (position < end) {
      signal.throwIfAborted();
      const length = Math.min(ZEROS.length, end - position);
      await sink.write(ZEROS.subarray(0, length), position);
      position += length;
    }
  };
  return {
    size,
    order: 'append',
    write: async ({ offset, bytes }: Block) => {
      await fill(offset);
      await sink.write(bytes, offset);
      position = offset + bytes.length;
    },
    finish: async () => {
      await fill(size);
      await sink.end(size);
    },
    abort: () => Promise.resolve(),
  };
}
