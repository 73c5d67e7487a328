import type { DiskSink } from './disk.js';

const ZEROS = new Uint8Array(1024 * 1024);

/**
 * A sink that leaves no holes: zeros are written wherever a writer goes on further behind. For what keeps old bytes
 * where nothing is written (devices), cannot skip (pipes), or must not be sparse. One write at a time.
 */
export function filledSink(below: DiskSink): DiskSink {
  let end = 0;
  let last: Promise<void> = Promise.resolve();
  const fillTo = async (offset: number) => {
    while (end < offset) {
      const length = Math.min(ZEROS.length, offset - end);
      await below.write(ZEROS.subarray(0, length), end);
      end += length;
    }
  };
  // After a failure nothing more is written: every later step fails with the first one's reason.
  const queue = (step: () => Promise<void>) => (last = last.then(step));
  return {
    write: (bytes, offset) =>
      queue(async () => {
        await fillTo(offset);
        await below.write(bytes, offset);
        end = Math.max(end, offset + bytes.length);
      }),
    end: (size) =>
      queue(async () => {
        await fillTo(size);
        await below.end(size);
      }),
  };
}
