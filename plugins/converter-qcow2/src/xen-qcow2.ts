import { resolve } from 'node:path';
import { defineConverter, roundUp } from '@polyvisor/core';
import { z } from 'zod';
import { checkQcow2 } from './check.js';
import { FrontWriter } from './front-writer.js';
import { CONSUMERS } from './layout.js';
import { openQcow2, detectQcow2 } from './reader.js';
import { repairQcow2 } from './repair.js';

/** The only cluster size that every version of XCP-ng's storage manager takes; it also rounds disks up to it. */
const CLUSTER_SIZE = 64 * 1024;

/** What XCP-ng supports and tests: 16 TiB less the room that its file systems want for the tables. */
const MAX_SIZE = 16_381 * 1024 ** 3;

export const xenQcow2 = defineConverter({
  id: 'xen-qcow2',
  extension: '.qcow2',
  summary: 'QCOW2 for XCP-ng: uncompressed, all tables in front of the data, so that its import can stream it',
  capabilities: {
    order: 'random',
    maxSize: MAX_SIZE,
    sizeMultiple: CLUSTER_SIZE,
    compression: [],
    hypervisors: ['XCP-ng'],
    consumers: CONSUMERS,
  },
  options: z.strictObject({}),
  // Nothing in the file tells it from other qcow2 images, and those are for the converter of that name.
  detect: async (file) => ((await detectQcow2(file)) === 'yes' ? 'maybe' : 'no'),
  create: ({ size, sink }) => Promise.resolve(new FrontWriter(sink, roundUp(size, CLUSTER_SIZE), CLUSTER_SIZE)),
  open: openQcow2,
  check: checkQcow2,
  repair: repairQcow2,
  blockNode: (file) => Promise.resolve({ driver: 'qcow2', file: { driver: 'file', filename: resolve(file.path) } }),
});
