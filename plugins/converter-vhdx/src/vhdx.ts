import { resolve } from 'node:path';
import { defineConverter } from '@polyvisor/core';
import { checkVhdx } from './check.js';
import { MAX_DISK_SIZE } from './layout.js';
import { vhdxOptions } from './options.js';
import { detectVhdx, openVhdx } from './reader.js';
import { repairVhdx } from './repair.js';
import { CONSUMERS } from './rules.js';
import { createVhdxWriter } from './writer.js';

export const vhdx = defineConverter({
  id: 'vhdx',
  extension: '.vhdx',
  summary: 'VHDX for Hyper-V (dynamic or fixed), both generations, up to 64 TiB',
  capabilities: {
    order: 'random',
    maxSize: MAX_DISK_SIZE,
    sizeMultiple: 512,
    compression: [],
    hypervisors: ['Hyper-V'],
    consumers: CONSUMERS,
  },
  options: vhdxOptions,
  detect: detectVhdx,
  create: createVhdxWriter,
  open: openVhdx,
  check: checkVhdx,
  repair: repairVhdx,
  blockNode: (file) => Promise.resolve({ driver: 'vhdx', file: { driver: 'file', filename: resolve(file.path) } }),
});
