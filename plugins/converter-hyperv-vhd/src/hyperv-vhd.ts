import { byteSize, defineConverter, roundUp } from '@polyvisor/core';
import {
  DynamicVhdWriter,
  VHD_CONSUMERS,
  VHD_MAX_SIZE,
  createFixedVhd,
  checkVhd,
  detectVhd,
  isUsableUuid,
  openVhd,
  repairVhd,
  vhdBlockNode,
} from '@polyvisor/vhd';
import { z } from 'zod';

/**
 * Marks of makers whose disks QEMU takes by their size field, at least from 10.0 on. Of those by Virtual PC and by QEMU
 * itself it would take the geometry, and so lose their end.
 */
const CREATORS = { win: 'win ', vbox: 'vbox', qem2: 'qem2', d2v: 'd2v ', wa: 'wa' } as const;

/** 10.0, as Windows Server 2016 and later write. */
const CREATOR_VERSION = '10.0';

/** Blocks that Hyper-V's own tools make, and one between them. In bytes. */
const BLOCK_SIZES = [512 * 1024, 1024 * 1024, 2 * 1024 * 1024];

/** Azure demands whole MiB, and Hyper-V's own tools make nothing else. */
const SIZE_MULTIPLE = 1024 * 1024;

/** Major version in the upper 16 bits, minor in the lower; undefined when the text is none. */
function versionOf(text: string): number | undefined {
  const [, major, minor = '0'] = /^(\d{1,5})(?:\.(\d{1,5}))?$/.exec(text) ?? [];
  if (major === undefined || Number(major) > 0xffff || Number(minor) > 0xffff) return undefined;
  return Number(major) * 0x1_0000 + Number(minor);
}

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
    block: byteSize()
      .refine((bytes) => BLOCK_SIZES.includes(bytes), 'must be 512k, 1M or 2M')
      .default(2 * 1024 * 1024)
      .describe('Block size of a dynamic disk: 512k, 1M or 2M; zeros are left out by whole blocks'),
    creator: z
      .enum(['win', 'vbox', 'qem2', 'd2v', 'wa'])
      .default('win')
      .describe(
        'Who says to have made the disk: win (Windows), vbox (VirtualBox), qem2 (QEMU), d2v (Disk2vhd), wa (Azure)',
      ),
    version: z
      .union([z.string(), z.number().transform(String)])
      .refine((text) => versionOf(text) !== undefined, 'must be two numbers up to 65535, such as 6.3')
      .default(CREATOR_VERSION)
      .describe('Version of the creator: 6.1 (2008), 6.3 (2012 R2), 10.0 (2016 and later)'),
    uuid: z
      .string()
      .refine(isUsableUuid, 'must be a UUID (xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx), and not the null one')
      .transform((uuid) => uuid.toLowerCase())
      .optional()
      .describe('Unique id of the disk; by default it follows from what is on the disk'),
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
  create: ({ size, sink, identity, signal, options }) => {
    const { azure, subformat, sparse } = options;
    const target = {
      sink,
      size: roundUp(size, SIZE_MULTIPLE),
      stamp: {
        creatorApplication: CREATORS[options.creator],
        creatorVersion: versionOf(options.version) ?? 0,
        creatorHostOs: 'Wi2k',
        time: identity.time,
        uuid: options.uuid ?? identity.uuid('hyperv-vhd'),
      },
      sparse: (sparse ?? (azure ? 'never' : 'auto')) === 'auto',
      signal,
    };
    return Promise.resolve(
      azure || subformat === 'fixed'
        ? createFixedVhd(target)
        : new DynamicVhdWriter({ ...target, batmap: false, blockSize: options.block }),
    );
  },
  open: openVhd,
  check: checkVhd,
  repair: repairVhd,
  blockNode: vhdBlockNode,
});
