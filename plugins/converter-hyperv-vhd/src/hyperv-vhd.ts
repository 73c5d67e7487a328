import { defineConverter, roundUp } from '@polyvisor/core';
import {
  DynamicVhdWriter,
  VHD_CONSUMERS,
  VHD_MAX_SIZE,
  createFixedVhd,
  checkVhd,
  detectVhd,
  openVhd,
  vhdBlockNode,
} from '@polyvisor/vhd';
import { z } from 'zod';

/** Microsoft's mark on disks of Windows' own tools. QEMU takes the size of such a disk as it is. */
const CREATOR = 'win ';

/** 10.0, as Windows Server 2016 and later write. */
const CREATOR_VERSION = 0x000a_0000;

/** Azure demands whole MiB, and Hyper-V's own tools make nothing else. */
const SIZE_MULTIPLE = 1024 * 1024;

const options = z
  .strictObject({
    subformat: z
      .enum(['dynamic', 'fixed'])
      .optional()
      .describe('dynamic (default): grows as it is filled; fixed: the whole disk, always (default with azure)'),
    azure: z
      .boolean()
      .default(false)
      .describe(
        'Write what Azure takes: a fixed disk whose zeros are really stored; set sparse=auto to leave them out',
      ),
    sparse: z
      .enum(['auto', 'never'])
      .optional()
      .describe(
        'auto (default): what is zero becomes a hole of the file; never (default with azure): every byte is written. ' +
          'Hyper-V refuses files that carry the sparse attribute of NTFS, which some ways of copying set for holes',
      ),
  })
  .refine(({ azure, subformat }) => !azure || subformat !== 'dynamic', {
    path: ['subformat'],
    message: 'Azure takes only fixed disks; leave subformat out, or azure',
  });

export const hypervVhd = defineConverter({
  id: 'hyperv-vhd',
  extension: '.vhd',
  summary: 'VHD for Hyper-V (dynamic or fixed) and Azure (fixed)',
  capabilities: {
    order: 'random',
    maxSize: VHD_MAX_SIZE,
    sizeMultiple: SIZE_MULTIPLE,
    compression: [],
    consumers: VHD_CONSUMERS,
    hypervisors: ['Hyper-V', 'Azure'],
  },
  options,
  // Every VHD that is not blktap's counts as one of this family: Virtual PC's, VirtualBox's, QEMU's.
  detect: (file) => detectVhd(file, (creator) => !creator.startsWith('tap')),
  create: ({ size, sink, identity, signal, options: { azure, subformat, sparse } }) => {
    const target = {
      sink,
      size: roundUp(size, SIZE_MULTIPLE),
      stamp: {
        creatorApplication: CREATOR,
        creatorVersion: CREATOR_VERSION,
        creatorHostOs: 'Wi2k',
        time: identity.time,
        uuid: identity.uuid('hyperv-vhd'),
      },
      sparse: (sparse ?? (azure ? 'never' : 'auto')) === 'auto',
      signal,
    };
    return Promise.resolve(
      azure || subformat === 'fixed' ? createFixedVhd(target) : new DynamicVhdWriter({ ...target, batmap: false }),
    );
  },
  open: openVhd,
  check: checkVhd,
  blockNode: vhdBlockNode,
});
