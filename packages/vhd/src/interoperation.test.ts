import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareDisks, openImageFile } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { openVhd } from './open.js';

describe.skipIf(!available('qemu-img', 'qemu-utils'))('a VHD made by qemu-img', () => {
  it.each([
    ['dynamic', 'qemu'],
    ['fixed', 'qemu'],
    ['dynamic,force_size=on', 'qem2'],
    ['fixed,force_size=on', 'qem2'],
  ])('is read as it was meant (%s)', async (options, creator) => {
    const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const bytes = noise(11 * 2 ** 20 + 512);
      bytes.fill(0, 3 * 2 ** 20, 7 * 2 ** 20);
      await writeFile(join(directory, 'disk.raw'), bytes);
      const image = join(directory, 'disk.vhd');
      const convert = ['convert', '-f', 'raw', '-O', 'vpc', '-o', `subformat=${options}`];
      await judgeWith('qemu-img', [...convert, join(directory, 'disk.raw'), image]);
      await using file = await openImageFile(image);
      const { disk, facts } = await openVhd(file);
      expect(facts['creator']).toContain(creator);
      const expected = memoryDisk(bytes.length, [{ offset: 0, bytes }]);
      const { signal } = new AbortController();
      expect(await compareDisks(expected, disk, { signal })).toEqual({ equal: true });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
