import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkNetboot } from './check-netboot.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'netboot-'));
});
afterEach(() => rm(directory, { recursive: true }));

const medium = (more: object = {}) => ({
  kind: 'netboot' as const,
  directory,
  kernel: 'd/linux',
  initrd: 'd/initrd.gz',
  bootFiles: { bios: 'pxelinux.0' },
  ...more,
});

it('finds the files, through links as Debian lays them', async () => {
  await mkdir(join(directory, 'd'));
  for (const name of ['linux', 'initrd.gz', 'pxelinux.0']) await writeFile(join(directory, 'd', name), 'x');
  await symlink('d/pxelinux.0', join(directory, 'pxelinux.0'));
  expect(await checkNetboot(medium(), 'bios')).toEqual({
    directory,
    kernel: join(directory, 'd/linux'),
    initrd: join(directory, 'd/initrd.gz'),
    bootFile: 'pxelinux.0',
  });
  expect(await checkNetboot(medium(), 'uefi')).not.toHaveProperty('bootFile');
});

it('names the Debian package that is missing', async () => {
  const debian = '/usr/lib/debian-installer/images/99/riscv64/text';
  await expect(checkNetboot(medium({ directory: debian }), 'bios')).rejects.toMatchObject({
    code: 'netboot-missing',
    message: expect.stringContaining(`${debian}/d/linux`),
    hint: 'apt-get install debian-installer-99-netboot-riscv64',
  });
  await expect(checkNetboot(medium(), 'bios')).rejects.toMatchObject({ hint: expect.stringContaining('directory') });
});

it.each(['../linux', '/linux', '', 'd/../../x'])('refuses %j', async (kernel) => {
  await expect(checkNetboot(medium({ kernel }), 'bios')).rejects.toMatchObject({ code: 'netboot-foreign' });
});
