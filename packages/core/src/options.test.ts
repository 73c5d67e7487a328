import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { byteSize, parseByteSize, parseOptions } from './options.js';

describe('sizes', () => {
  it.each([
    ['0', 0],
    [512, 512],
    ['64k', 65_536],
    ['64 KiB', 65_536],
    ['2M', 2_097_152],
    ['1.5g', 1_610_612_736],
    ['2040G', 2_190_433_320_960],
    ['1T', 1_099_511_627_776],
  ])('reads %s', (text, bytes) => expect(parseByteSize(text)).toBe(bytes));

  it.each(['', 'k', '-1', '1x', '1e9', '0x10', '9999999T', '0.3', '1 2'])('refuses %j', (text) =>
    expect(parseByteSize(text)).toBeUndefined(),
  );
});

describe('options', () => {
  const schema = z.strictObject({ cluster: byteSize().default(65_536), level: z.number().max(9).default(6) });

  it('are completed with defaults', () => {
    expect(parseOptions('--to x', schema, undefined)).toEqual({ cluster: 65_536, level: 6 });
    expect(parseOptions('--to x', schema, { cluster: '4k' })).toEqual({ cluster: 4096, level: 6 });
  });

  it('are refused all at once, with the names that exist', () => {
    expect(() => parseOptions('--to x', schema, { cluster: 'much', level: 12, nonsense: 1 })).toThrowError(
      expect.objectContaining({
        code: 'options-invalid',
        issues: expect.objectContaining({ length: 3 }) as unknown,
        hint: expect.stringContaining('cluster, level') as string,
      }) as Error,
    );
  });
});
