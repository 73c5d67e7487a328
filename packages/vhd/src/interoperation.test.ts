import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitOutputs, compareDisks, createOutput, openImageFile, pump } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { DynamicVhdWriter } from './dynamic-writer.js';
import { MAX_SIZE } from './layout.js';
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

describe.skipIf(!available('vhdiinfo', 'libvhdi-utils') || !available('qemu-img', 'qemu-utils'))(
  'libvhdi and QEMU',
  () => {
    it.each([
      [2 * 2 ** 20, MAX_SIZE],
      [512 * 1024, MAX_SIZE],
      [1024 * 1024, 37 * 2 ** 20 + 512],
    ])(
      'see a disk in blocks of %i bytes as large as it is: %i bytes',
      async (blockSize, size) => {
        const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
        try {
          const path = join(directory, 'disk.vhd');
          const output = await createOutput(path, false);
          const { signal } = new AbortController();
          const stamp = {
            creatorApplication: 'win ',
            creatorVersion: 0x000a_0000,
            creatorHostOs: 'Wi2k',
            time: 0,
            uuid: '01020304-0506-8708-890a-0b0c0d0e0f10',
          };
          const target = { sink: output.sink, size, stamp, sparse: true, batmap: false, blockSize, signal };
          const writer = new DynamicVhdWriter(target);
          const last = noise(512, 4);
          const disk = memoryDisk(size, [
            { offset: 0, bytes: noise(4096) },
            { offset: size - 512, bytes: last },
          ]);
          await pump(disk, [writer], { signal });
          await writer.finish();
          await commitOutputs([output], false);
          expect(await judgeWith('vhdiinfo', [path])).toContain(`(${size} bytes)`);
          const info = JSON.parse(await judgeWith('qemu-img', ['info', '-f', 'vpc', '--output=json', path])) as object;
          expect(info).toMatchObject({ 'virtual-size': size });
          await using file = await openImageFile(path);
          const opened = await openVhd(file);
          const read = Buffer.alloc(512);
          await opened.disk.read(read, size - 512);
          expect(read.equals(last)).toBe(true);
        } finally {
          await rm(directory, { recursive: true });
        }
      },
      60_000,
    );
  },
);
