import { resolve } from 'node:path';
import { defineConverter, rawDisk, roundUp, SECTOR_SIZE } from '@polyvisor/core';
import { checkRaw } from './check.js';
import { rawOptions } from './options.js';
import { createRawWriter } from './writer.js';

/** Largest file offset that is still an exact number. */
const MAX_SIZE = Number.MAX_SAFE_INTEGER - (Number.MAX_SAFE_INTEGER % SECTOR_SIZE);

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
    consumers: ['kvm', 'cloudstack'],
  },
  options: rawOptions,
  // Any file can be a raw disk, so this is never more than a fall-back; and not for what is plainly something else.
  // Any bytes may be a disk's. That some are marks of other formats is known to who asks all converters.
  detect: (file) => Promise.resolve(file.size > 0 ? 'maybe' : 'no'),
  create: (job) => Promise.resolve(createRawWriter(job)),
  open: (file) => Promise.resolve({ disk: rawDisk(file, roundUp(file.size, SECTOR_SIZE)), facts: {} }),
  check: checkRaw,
  blockNode: (file) => Promise.resolve({ driver: 'raw', file: { driver: 'file', filename: resolve(file.path) } }),
});
