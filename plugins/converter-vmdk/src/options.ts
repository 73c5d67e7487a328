import { byteSize } from '@polyvisor/core';
import { GRAIN_SIZE, MAX_GRAIN_SECTORS, SECTOR } from '@polyvisor/vmdk';
import { z } from 'zod';

const LARGEST_GRAIN = MAX_GRAIN_SECTORS * SECTOR;

/** A grain is more than 8 sectors, says the format's text; libvmdk refuses files with less, QEMU and VirtualBox read them. */
const SMALLEST_GRAIN = 16 * SECTOR;

const isGrain = (bytes: number) =>
  bytes >= SMALLEST_GRAIN && bytes <= LARGEST_GRAIN && Number.isInteger(Math.log2(bytes));

/** Which options mean something to which kind of file. */
const COMPRESSED = ['streamOptimized'];
const SPARSE = ['streamOptimized', 'monolithicSparse', 'twoGbMaxExtentSparse'];

export const vmdkOptions = z
  .strictObject({
    subformat: z
      .enum([
        'streamOptimized',
        'monolithicSparse',
        'monolithicFlat',
        'twoGbMaxExtentSparse',
        'twoGbMaxExtentFlat',
        'vmfs',
      ])
      .default('streamOptimized')
      .describe(
        'streamOptimized: compressed, to upload and deploy; monolithicSparse: one file that grows, to run on a desktop; ' +
          'monolithicFlat: descriptor and whole disk; twoGbMaxExtent…: the same in parts of 2047 MiB; ' +
          'vmfs: descriptor and whole disk for a datastore of ESXi',
      ),
    adapter: z
      .enum(['lsilogic', 'buslogic', 'ide', 'pvscsi', 'legacyESX'])
      .default('lsilogic')
      .describe('Controller that the disk is said to be for; the machine decides in the end'),
    hardware: z
      .number()
      .int()
      .min(3)
      .max(99)
      .default(13)
      .describe('Version of the virtual hardware in the descriptor, such as 13 (ESXi 6.5) or 21 (ESXi 8.0 U2)'),
    level: z
      .number()
      .int()
      .min(1)
      .max(9)
      .optional()
      .describe('Effort of zlib for streamOptimized, 1 (fast) to 9 (small); 4 when absent, shared with an OVA'),
    grain: byteSize()
      .refine(isGrain, 'must be a power of two from 8k to 1M')
      .optional()
      .describe('Unit that is stored or left out in sparse kinds, 8k to 1M; 64k when absent, as everybody writes'),
    // Without letters, it comes from the command line as a number.
    cid: z
      .union([z.string(), z.number().transform(String)])
      .pipe(z.string().regex(/^[0-9a-fA-F]{8}$/, 'must be eight hexadecimal digits'))
      .refine((value) => !/^fffffff[ef]$/i.test(value), 'ffffffff and fffffffe have meanings of their own')
      .transform((value) => value.toLowerCase())
      .optional()
      .describe('Content ID, eight hexadecimal digits; derived from the run when absent'),
    uuid: z
      .uuid()
      .optional()
      .describe('Identity of the disk for vSphere (ddb.uuid); left out when absent, so that it gives one of its own'),
    tools: z
      .number()
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(2_147_483_647)
      .describe('ddb.toolsVersion; 2147483647 (default) says that the guest looks after its own tools'),
  })
  .superRefine(({ subformat, level, grain }, context) => {
    if (level !== undefined && !COMPRESSED.includes(subformat))
      context.addIssue({ code: 'custom', path: ['level'], message: `${subformat} is not compressed; leave level out` });
    if (grain !== undefined && !SPARSE.includes(subformat))
      context.addIssue({ code: 'custom', path: ['grain'], message: `${subformat} has no grains; leave grain out` });
  });

export type VmdkOptions = z.output<typeof vmdkOptions>;

export const DEFAULT_LEVEL = 4;
export const DEFAULT_GRAIN = GRAIN_SIZE;
