import { resolve } from 'node:path';
import { defineConverter } from '@polyvisor/core';
import { checkVdi } from './check.js';
import { CONSUMERS } from './rules.js';
import { DEFAULT_BLOCK_SIZE, MAX_BLOCKS } from './layout.js';
import { vdiOptions } from './options.js';
import { detectVdi, openVdi } from './reader.js';
import { repairVdi } from './repair.js';
import { createVdiWriter } from './writer.js';

export const vdi = defineConverter({
  id: 'vdi',
  extension: '.vdi',
  summary: 'VDI for VirtualBox: dynamic or fixed',
  capabilities: {
    order: 'random',
    // What QEMU reads of the default blocks; smaller ones hold less, and the writer says so.
    maxSize: MAX_BLOCKS * DEFAULT_BLOCK_SIZE,
    sizeMultiple: 512,
    compression: [],
    hypervisors: ['VirtualBox', 'QEMU'],
    consumers: [...CONSUMERS],
  },
  options: vdiOptions,
  detect: detectVdi,
  create: createVdiWriter,
  open: openVdi,
  check: checkVdi,
  repair: repairVdi,
  blockNode: (file) => Promise.resolve({ driver: 'vdi', file: { driver: 'file', filename: resolve(file.path) } }),
});
