import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DiskConverter } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { outputPaths, stemOf } from './output-names.js';

const format = (id: string, extension: string) => ({ id, extension }) as DiskConverter;
const raw = format('raw', '.raw');
const vhd = format('xen-vhd', '.vhd');

describe('stemOf', () => {
  it.each([
    ['disk.raw', 'disk'],
    ['/some/where/disk.tar.gz', 'disk'],
    ['disk.vhd.GZ', 'disk'],
    ['debian-12.5.xz', 'debian-12.5'],
    ['-', 'disk'],
    ['debian-12.5', 'debian-12.5'],
    ['disk', 'disk'],
    ['.hidden', '.hidden'],
    ['/dev/sda', 'sda'],
  ])('%s', (path, stem) => expect(stemOf(path)).toBe(stem));
});

describe('outputPaths', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'polyvisor-names-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('names a single output as told', async () => {
    expect(await outputPaths('disk', [vhd], 'new/name.img', folder)).toEqual([join(folder, 'new/name.img')]);
    await writeFile(join(folder, 'there'), '');
    expect(await outputPaths('disk', [vhd], 'there', folder)).toEqual([join(folder, 'there')]);
  });

  it('puts a single output into a directory, be it there or only written as one', async () => {
    await mkdir(join(folder, 'dir'));
    const expected = (name: string) => [join(folder, name, 'disk-xen-vhd.vhd')];
    expect(await outputPaths('disk', [vhd], 'dir', folder)).toEqual(expected('dir'));
    expect(await outputPaths('disk', [vhd], 'new/', folder)).toEqual(expected('new'));
    expect(await outputPaths('disk', [vhd], undefined, folder)).toEqual(expected('.'));
  });

  it('puts several outputs into a directory', async () => {
    expect(await outputPaths('disk', [raw, vhd], 'out', folder)).toEqual([
      join(folder, 'out/disk-raw.raw'),
      join(folder, 'out/disk-xen-vhd.vhd'),
    ]);
    await writeFile(join(folder, 'file'), '');
    await expect(outputPaths('disk', [raw, vhd], 'file', folder)).rejects.toMatchObject({
      code: 'output-not-a-directory',
    });
  });
});
