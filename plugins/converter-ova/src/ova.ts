import { defineConverter } from '@polyvisor/core';
import { GRAIN_SIZE, MAX_CAPACITY } from '@polyvisor/vmdk';
import { checkOva } from './check.js';
import { CONSUMERS } from './finding.js';
import { ovaOptions } from './options.js';
import { detectOva, openOva, ovaBlockNode } from './reader.js';
import { OvaWriter } from './writer.js';

export const ova = defineConverter({
  id: 'ova',
  extension: '.ova',
  summary: 'An appliance to import into VMware or VirtualBox: OVF descriptor, manifest, compressed VMDK',
  capabilities: {
    order: 'random',
    maxSize: MAX_CAPACITY,
    sizeMultiple: GRAIN_SIZE,
    compression: ['deflate'],
    consumers: [...CONSUMERS],
    severalDisks: true,
    hypervisors: ['VMware ESXi', 'VMware Workstation', 'VMware Fusion', 'VirtualBox'],
  },
  options: ovaOptions,
  detect: detectOva,
  create: (job) => Promise.resolve().then(() => new OvaWriter(job)),
  open: openOva,
  check: checkOva,
  blockNode: ovaBlockNode,
});
