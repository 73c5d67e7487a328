import { z } from 'zod';

/** What a person may choose about how the disk is made; none of it is needed. */
export const rootfsOptions = z.strictObject({
  scratch: z
    .enum(['auto', 'memory', 'disk'])
    .default('auto')
    .describe(
      'Where the file system tree is put together: memory is faster and leaves nothing behind, disk needs no memory',
    ),
  initramfs: z
    .enum(['targets', 'most'])
    .default('targets')
    .describe(
      'Drivers in the initramfs: those of the hypervisors, or most of what the kernel has (slower, three times the size)',
    ),
  'guest-mirror': z
    .string()
    .regex(/^(?:build|https?:\/\/\S+)$/, 'say build, or an address that starts with http:// or https://')
    .default('build')
    .describe("Where the guest's own apt will look: the mirror of this build, or an address that the guest can reach"),
  'package-timeout': z
    .number()
    .int()
    .min(60)
    .default(3600)
    .describe('Seconds that downloading and installing the packages may take'),
});

export type RootfsOptions = z.output<typeof rootfsOptions>;
