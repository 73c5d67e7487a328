import { resolve } from 'node:path';
import { defineConverter } from '@polyvisor/core';
import { checkVmdk, detectVmdk, GRAIN_SIZE, MAX_CAPACITY, openVmdk, repairVmdk, VMDK_CONSUMERS } from '@polyvisor/vmdk';
import { vmdkOptions } from './options.js';
import { createVmdkWriter } from './writer.js';

export const vmdk = defineConverter({
  id: 'vmdk',
  extension: '.vmdk',
  summary: 'VMDK for VMware, VirtualBox and QEMU: compressed stream, sparse, flat, or split into parts',
  capabilities: {
    order: 'append',
    maxSize: MAX_CAPACITY,
    sizeMultiple: GRAIN_SIZE,
    compression: ['deflate'],
    hypervisors: ['VMware ESXi', 'VMware Workstation', 'VMware Fusion', 'VirtualBox', 'KVM'],
    consumers: VMDK_CONSUMERS,
  },
  options: vmdkOptions,
  detect: detectVmdk,
  create: createVmdkWriter,
  open: openVmdk,
  check: checkVmdk,
  repair: repairVmdk,
  blockNode: (file) => Promise.resolve({ driver: 'vmdk', file: { driver: 'file', filename: resolve(file.path) } }),
});
