import { resolve } from 'node:path';
import { byteSize, defineConverter } from '@polyvisor/core';
import { z } from 'zod';
import { checkQcow2 } from './check.js';
import { CONSUMERS, MAX_CLUSTER_BITS, MIN_CLUSTER_BITS } from './layout.js';
import { detectQcow2, openQcow2 } from './reader.js';
import { repairQcow2 } from './repair.js';
import { createQcow2Writer } from './writer.js';

const isClusterSize = (bytes: number) => {
  const bits = Math.log2(bytes);
  return Number.isInteger(bits) && bits >= MIN_CLUSTER_BITS && bits <= MAX_CLUSTER_BITS;
};

export const qcow2 = defineConverter({
  id: 'qcow2',
  extension: '.qcow2',
  summary: 'QCOW2 for KVM, OpenStack, Proxmox, CloudStack; compressed on request',
  capabilities: {
    order: 'random',
    // With the default clusters; smaller ones hold less, and the writer says so.
    maxSize: 2 ** 51,
    sizeMultiple: 512,
    compression: ['zlib', 'zstd'],
    hypervisors: ['KVM', 'QEMU', 'OpenStack', 'Proxmox', 'CloudStack'],
    consumers: CONSUMERS,
  },
  options: z.strictObject({
    compat: z
      .union([
        z.enum(['1.1', '0.10']),
        z
          .number()
          .transform(String)
          .pipe(z.enum(['1.1', '0.1'])),
      ])
      .transform((value) => (value === '0.1' ? '0.10' : value))
      .default('1.1')
      .describe('Version of the format: 1.1 (version 3), or 0.10 (version 2) for QEMU before 1.1 and old CloudStack'),
    compression: z
      .enum(['none', 'zlib', 'zstd'])
      .default('none')
      .describe('zlib is read everywhere; zstd needs QEMU 5.1 and compat 1.1'),
    level: z
      .number()
      .int()
      .min(1)
      .max(19)
      .optional()
      .describe(
        'Effort: zlib 1 (fast) to 9 (small), 4 by default and shared with an OVA of that level; zstd 1 to 19, 3 by default',
      ),
    cluster: byteSize()
      .refine(isClusterSize, 'must be a power of two from 512 to 2M')
      .default(65_536)
      .describe('Cluster size, 512 to 2M'),
    preallocation: z
      .enum(['off', 'metadata', 'full'])
      .default('off')
      .describe('Clusters for the whole disk: off, metadata (mapped, not written), full (zeros written)'),
  }),
  detect: detectQcow2,
  create: createQcow2Writer,
  open: openQcow2,
  check: checkQcow2,
  repair: repairQcow2,
  blockNode: (file) => Promise.resolve({ driver: 'qcow2', file: { driver: 'file', filename: resolve(file.path) } }),
});
