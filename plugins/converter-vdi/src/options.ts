import { byteSize } from '@polyvisor/core';
import { z } from 'zod';
import { COMMENT_SIZE, DEFAULT_BLOCK_SIZE } from './layout.js';
import { NULL_UUID } from './uuid.js';

/** Blocks that are written, in bytes. Smaller ones make the map long, larger ones waste space. */
const SMALLEST = 64 * 1024;
const LARGEST = 64 * 1024 * 1024;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const vdiOptions = z.strictObject({
  subformat: z
    .enum(['dynamic', 'fixed'])
    .default('dynamic')
    .describe('dynamic: grows with what the guest writes; fixed: every block has its place from the start'),
  block: byteSize()
    .refine(
      (bytes) => bytes >= SMALLEST && bytes <= LARGEST && Number.isInteger(Math.log2(bytes)),
      'must be a power of two from 64k to 64M',
    )
    .default(DEFAULT_BLOCK_SIZE)
    .describe('Block size, 64k to 64M; QEMU reads nothing but 1M'),
  uuid: z
    .string()
    .regex(UUID, 'must be 8-4-4-4-12 hexadecimal digits')
    .refine((uuid) => uuid !== NULL_UUID, 'must not be all zero')
    .transform((uuid) => uuid.toLowerCase())
    .optional()
    .describe(
      'UUID of the image, by which VirtualBox knows a disk; default: derived from what the disk holds, so a second disk with the same content needs one of its own',
    ),
  comment: z
    .union([z.string(), z.number().transform(String)])
    .refine((text) => !/\p{Control}/u.test(text), 'must be one line')
    .refine((text) => Buffer.byteLength(text) < COMMENT_SIZE, `must be shorter than ${COMMENT_SIZE} bytes`)
    .default('')
    .describe('A line of text that is kept in the file'),
});

export type VdiOptions = z.output<typeof vdiOptions>;
