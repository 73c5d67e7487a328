import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { available, judgeWith } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { encodeTarHeader } from './tar-header.js';

const GiB = 2 ** 30;

describe('a tar header', () => {
  it('is what GNU tar writes for a file of nobody', () => {
    const header = encodeTarHeader({ name: 'a.ovf', size: 3435, modified: 1_700_000_000 });
    expect(header.toString('latin1', 0, 5)).toBe('a.ovf');
    expect(header.toString('latin1', 100, 157)).toBe(
      '0000644\0' + '0000000\0' + '0000000\0' + '00000006553\0' + '14524770400\0' + '006714\0 ' + '0',
    );
    expect(header.toString('latin1', 257, 265)).toBe('ustar  \0');
    expect(header.subarray(265).every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    [8 * GiB - 1, '3737373737373737373737' + '00'],
    [8 * GiB, '800000000000000200000000'],
    [9 * GiB, '800000000000000240000000'],
    [2 ** 53 - 1, '80000000001fffffffffffff'],
  ])('holds a size of %i', (size, hex) => {
    expect(encodeTarHeader({ name: 'a', size, modified: 0 }).toString('hex', 124, 136)).toBe(hex);
  });

  it.skipIf(!available('tar', 'tar'))('is read by GNU tar, beyond 8 GiB too', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const path = join(scratch, 'large.tar');
      const file = await open(path, 'w');
      await file.write(encodeTarHeader({ name: 'large.vmdk', size: 9 * GiB, modified: 0 }), 0, 512, 0);
      await file.write(encodeTarHeader({ name: 'small.mf', size: 0, modified: 0 }), 0, 512, 512 + 9 * GiB);
      await file.truncate(3 * 512 + 9 * GiB + 512);
      await file.close();
      const listed = await judgeWith('tar', ['--list', '--verbose', '--utc', '--file', path]);
      expect(listed).toMatch(
        /^-rw-r--r-- 0\/0 +9663676416 1970-01-01 00:00 large\.vmdk\n-rw-r--r-- 0\/0 +0 .* small\.mf\n$/,
      );
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
