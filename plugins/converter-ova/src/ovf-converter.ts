import { defineConverter } from '@polyvisor/core';
import { checkOvf } from './check.js';
import { ova } from './ova.js';
import { OvfWriter } from './ovf-writer.js';
import { ovaOptions } from './options.js';
import { detectOvf, openOvf, ovfBlockNode } from './reader.js';

export const ovf = defineConverter({
  id: 'ovf',
  extension: '.ovf',
  summary: 'An unpacked OVA: OVF descriptor, with its manifest and compressed VMDKs beside it',
  capabilities: ova.capabilities,
  options: ovaOptions,
  detect: detectOvf,
  create: (job) => Promise.resolve().then(() => new OvfWriter(job)),
  open: openOvf,
  check: checkOvf,
  blockNode: ovfBlockNode,
});
