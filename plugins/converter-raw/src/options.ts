import { z } from 'zod';

export const rawOptions = z.strictObject({
  preallocation: z
    .enum(['off', 'full'])
    .default('off')
    .describe(
      'off: zeros become holes of the file; full: zeros are written, so that the file has all its space from the start',
    ),
});

export type RawOptions = z.output<typeof rawOptions>;
