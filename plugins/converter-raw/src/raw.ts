import { resolve } from 'node:path';
import {
  type Block,
  type ConvertJob,
  defineConverter,
  type DiskWriter,
  rawDisk,
  roundUp,
  SECTOR_SIZE,
} from '@polyvisor/core';
import { z } from 'zod';

/** Largest file offset that is still an exact number. */
const MAX_SIZE = Number.MAX_SAFE_INTEGER - (Number.MAX_SAFE_INTEGER % SECTOR_SIZE);

/** Bytes below which a stretch of zeros is written rather than left out: the block of most file systems. */
const HOLE_UNIT = 4096;

export const raw = defineConverter({
  id: 'raw',
  extension: '.img',
  summary: 'The disk byte for byte, holes left out',
  capabilities: {
    order: 'append',
    maxSize: MAX_SIZE,
    sizeMultiple: SECTOR_SIZE,
    compression: [],
    hypervisors: ['any', 'KVM', 'Xen', 'bhyve', 'clouds'],
  },
  options: z.strictObject({}),
  // Any file can be a raw disk, so this is never more than a fall-back.
  detect: (file) => Promise.resolve(file.size > 0 ? 'maybe' : 'no'),
  create: (job) => Promise.resolve(createRawWriter(job)),
  open: (file) => Promise.resolve({ disk: rawDisk(file, roundUp(file.size, SECTOR_SIZE)), facts: {} }),
  blockNode: (file) => Promise.resolve({ driver: 'raw', file: { driver: 'file', filename: resolve(file.path) } }),
});

function createRawWriter({ size, sink }: ConvertJob): DiskWriter {
  return {
    size,
    write: async ({ offset, bytes, runs }: Block) => {
      await Promise.all(
        Array.from(runs(HOLE_UNIT), (run) =>
          sink.write(bytes.subarray(run.offset, run.offset + run.length), offset + run.offset),
        ),
      );
    },
    finish: () => sink.end(size),
    abort: () => Promise.resolve(),
  };
}
