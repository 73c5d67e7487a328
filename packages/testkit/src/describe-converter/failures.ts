import { BLOCK_SIZE, type DiskConverter, type DiskSource, pump } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { memoryDisk, type MemoryDisk, type MemorySink, memorySink, noise, texture } from '../memory.js';
import { type Depth, type OptionSet } from './suite.js';
import { job, write } from './write.js';

/** Writes at which a failure is tried; of a writer with more of them, this many, spread evenly. */
const MOST_FAILURES: Readonly<Record<Depth, number>> = { all: 60, some: 12 };

/** Three blocks, of which the second has holes, and the third is the end of an odd disk. */
const sample = (): MemoryDisk =>
  memoryDisk(2 * BLOCK_SIZE + 300 * 512, [
    { offset: 0, bytes: texture(100 * 1024, 51) },
    { offset: BLOCK_SIZE, bytes: noise(70 * 1024, 52) },
    { offset: BLOCK_SIZE + 700 * 1024, bytes: texture(5 * 512, 53) },
    { offset: 2 * BLOCK_SIZE + 512, bytes: noise(512, 54) },
  ]);

/** A device that fails, and a user who has enough, at every place where they can. */
export function describeFailures(converter: DiskConverter, options: OptionSet, depth: Depth): void {
  describe('when something fails', () => {
    it('passes on a full device at every write, and everything after it', async () => {
      for (const write of await writes(converter, options, depth)) {
        const full = deviceError('ENOSPC', 'no space left on device');
        await expectFailure(converter, options, full, (n) => n >= write);
      }
    }, 60_000);

    it('passes on a single write that fails, whichever it is', async () => {
      for (const write of await writes(converter, options, depth)) {
        const broken = deviceError('EIO', 'input/output error');
        await expectFailure(converter, options, broken, (n) => n === write);
      }
    }, 60_000);

    it('passes on a failure to give the file its length', async () => {
      const broken = deviceError('EIO', 'input/output error');
      const sink: MemorySink = { ...memorySink(), end: () => Promise.reject(broken) };
      await expect(write(converter, sample(), options, sink)).rejects.toBe(broken);
    });

    it('stops when cancelled at any block', async () => {
      const blocks = 8;
      const bytes = noise(blocks * BLOCK_SIZE, 55);
      for (let block = 0; block < blocks; block += depth === 'all' ? 1 : 5) {
        const cancel = new AbortController();
        const enough = new Error('enough');
        const disk = memoryDisk(bytes.length, [{ offset: 0, bytes }]);
        const source = cancelling(disk, block * BLOCK_SIZE, () => cancel.abort(enough));
        const sink = memorySink();
        await expect(write(converter, source, options, sink, cancel.signal)).rejects.toBe(enough);
        expect(sink.size).toBeUndefined();
      }
    }, 60_000);

    it('completes or stops when cancelled at any write', async () => {
      for (const write of await writes(converter, options, depth)) {
        const cancel = new AbortController();
        const enough = new Error('enough');
        const sink = failing((n) => {
          if (n === write) cancel.abort(enough);
        });
        await attempt(converter, options, sink, cancel.signal).catch((error: unknown) => expect(error).toBe(enough));
      }
    }, 60_000);

    it('can be aborted before the first block, and twice', async () => {
      const writer = await converter.create(job(BLOCK_SIZE, memorySink(), options));
      await writer.abort();
      await writer.abort();
    });
  });
}

function deviceError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Numbers of the writes that a sound run makes, from 0, the files beside the image included. */
async function writes(converter: DiskConverter, options: OptionSet, depth: Depth): Promise<readonly number[]> {
  let count = 0;
  await attempt(
    converter,
    options,
    failing(() => void count++),
  );
  const most = MOST_FAILURES[depth];
  const step = Math.max(1, count / most);
  return Array.from({ length: Math.min(count, most) }, (_, index) => Math.floor(index * step));
}

/** `onWrite` gets the number of each write. */
function failing(onWrite: (write: number) => void): MemorySink {
  let count = 0;
  return memorySink({ beforeWrite: () => onWrite(count++) });
}

/**
 * Exactly the device's own error comes out, from whichever step it hits, and the file is not declared complete. A promise
 * that nobody waits for shows as an unhandled rejection, which fails the run.
 */
async function expectFailure(
  converter: DiskConverter,
  options: OptionSet,
  error: Error,
  fails: (write: number) => boolean,
): Promise<void> {
  const sink = failing((write) => {
    if (fails(write)) throw error;
  });
  await expect(attempt(converter, options, sink)).rejects.toBe(error);
  expect(sink.size).toBeUndefined();
}

/** As `convert` does it: whatever step fails, the writer is aborted, and that must go well. */
async function attempt(
  converter: DiskConverter,
  options: OptionSet,
  sink: MemorySink,
  signal?: AbortSignal,
): Promise<void> {
  const source = sample();
  const base = job(source.size, sink, options);
  const stop = signal ?? base.signal;
  const writer = await converter.create({ ...base, signal: stop });
  try {
    await pump(source, [writer], { signal: stop });
    await writer.finish();
  } catch (error) {
    await expect(writer.abort()).resolves.toBeUndefined();
    throw error;
  }
}

function cancelling(disk: MemoryDisk, from: number, cancel: () => void): DiskSource {
  return {
    ...disk,
    read: async (into, offset) => {
      if (offset >= from) cancel();
      await disk.read(into, offset);
    },
  };
}
