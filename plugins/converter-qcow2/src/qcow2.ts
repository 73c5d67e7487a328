import { resolve } from 'node:path';
import { byteSize, defineConverter } from '@polyvisor/core';
import { z } from 'zod';
import { MAX_CLUSTER_BITS, MIN_CLUSTER_BITS } from './layout.js';
import { detectQcow2, openQcow2 } from './reader.js';
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
      .describe('zlib is read everywhere; zstd needs QEMU 5.1, compat 1.1 and Node 22.15 here'),
    level: z
      .number()
      .int()
      .min(1)
      .max(9)
      .default(4)
      .describe('Effort of zlib, 1 (fast) to 9 (small); shared with an OVA of the same level'),
    cluster: byteSize()
      .refine(isClusterSize, 'must be a power of two from 512 to 2M')
      .default(65_536)
      .describe('Cluster size, 512 to 2M'),
  }),
  detect: detectQcow2,
  create: createQcow2Writer,
  open: openQcow2,
  blockNode: (file) => Promise.resolve({ driver: 'qcow2', file: { driver: 'file', filename: resolve(file.path) } }),
});
