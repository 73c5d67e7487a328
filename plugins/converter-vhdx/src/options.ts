import { byteSize } from '@polyvisor/core';
import { z } from 'zod';
import { MAX_BLOCK_SIZE, MIN_BLOCK_SIZE } from './layout.js';

const isBlockSize = (bytes: number) =>
  bytes >= MIN_BLOCK_SIZE && bytes <= MAX_BLOCK_SIZE && Number.isInteger(Math.log2(bytes));

const sector = byteSize().refine((bytes) => bytes === 512 || bytes === 4096, 'must be 512 or 4096');

export const vhdxOptions = z.strictObject({
  subformat: z
    .enum(['dynamic', 'fixed'])
    .default('dynamic')
    .describe('dynamic: grows as it is filled; fixed: all blocks allocated in their order, and written front to back'),
  block: byteSize()
    .refine(isBlockSize, 'must be a power of two from 1M to 256M')
    .optional()
    .describe('Payload block size, 1M to 256M; 2M by default, 32M for disks above 4T'),
  'logical-sector': sector
    .default(512)
    .describe('Sector size that the guest sees, 512 or 4096; the size is rounded up to it, and QEMU reads only 512'),
  'physical-sector': sector.default(4096).describe('Physical sector size that the guest is told, 512 or 4096'),
  uuid: z
    .guid()
    .transform((guid) => guid.toLowerCase())
    .optional()
    .describe("The disk's identity (SCSI page 83); by default derived from what the disk holds"),
  sparse: z
    .enum(['auto', 'never'])
    .default('auto')
    .describe(
      'auto: what is zero becomes a hole of the file; never: every byte is written. Hyper-V refuses files that carry the ' +
        'sparse attribute of NTFS, which some ways of copying set for holes',
    ),
});

export type VhdxOptions = z.output<typeof vhdxOptions>;
