import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type Images, openImageFile } from '@polyvisor/core';
import { rawImages } from '@polyvisor/testkit';

const run = promisify(execFile);

/** `Images` that know VDI by qemu-img, a reader and writer that is neither VirtualBox's nor ours. */
export const vdiImages: Images = {
  open: async (path) => {
    const raw = `${path}.read.raw`;
    await run('qemu-img', ['convert', '-f', 'vdi', '-O', 'raw', path, raw]);
    const disk = await openImageFile(raw);
    await rm(raw); // it stays readable while it is open
    return disk;
  },
  write: async (disk, _format, path) => {
    const raw = `${path}.written.raw`;
    await rawImages.write(disk, 'raw', raw);
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'vdi', raw, path]);
    await rm(raw);
  },
};
