import { defineConverter, roundUp } from '@polyvisor/core';
import {
  DynamicVhdWriter,
  VHD_CONSUMERS,
  VHD_MAX_SIZE,
  checkVhd,
  detectVhd,
  openVhd,
  vhdBlockNode,
} from '@polyvisor/vhd';
import { z } from 'zod';

/** blktap's own mark. Its tools resize and coalesce only disks that carry it, and QEMU takes their size as it is. */
const CREATOR = 'tap';

/** Version 1.3, the newest that blktap accepts; from 1.2 on there must be a batmap. */
const CREATOR_VERSION = 0x0001_0003;

/** A last block that is not whole was dropped by older versions of blktap, so there is none. */
const SIZE_MULTIPLE = 2 * 1024 * 1024;

export const xenVhd = defineConverter({
  id: 'xen-vhd',
  extension: '.vhd',
  summary: 'Dynamic VHD for XenServer, XCP-ng and CloudStack, as blktap itself writes it',
  capabilities: {
    order: 'random',
    maxSize: VHD_MAX_SIZE,
    sizeMultiple: SIZE_MULTIPLE,
    compression: [],
    consumers: VHD_CONSUMERS,
    hypervisors: ['XenServer', 'XCP-ng', 'CloudStack'],
  },
  options: z.strictObject({}),
  detect: (file) => detectVhd(file, (creator) => creator.startsWith(CREATOR)),
  create: ({ size, sink, identity, signal }) =>
    Promise.resolve(
      new DynamicVhdWriter({
        sink,
        size: roundUp(size, SIZE_MULTIPLE),
        stamp: {
          creatorApplication: CREATOR,
          creatorVersion: CREATOR_VERSION,
          creatorHostOs: '',
          time: identity.time,
          uuid: identity.uuid('xen-vhd'),
        },
        batmap: true,
        sparse: true,
        signal,
      }),
    ),
  open: openVhd,
  check: checkVhd,
  blockNode: vhdBlockNode,
});
