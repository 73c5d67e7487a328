import { open, rename } from 'node:fs/promises';
import { type Images, openImageFile } from '@polyvisor/core';

const CHUNK = 1024 * 1024;

/** `Images` that know raw disks alone, as sparse files. */
export const rawImages: Images = {
  open: async (path, format = 'raw') => {
    refuse(format);
    return openImageFile(path);
  },
  write: async (disk, format, path) => {
    refuse(format);
    const file = await open(`${path}.part`, 'wx');
    try {
      await file.truncate(disk.size);
      for await (const { offset, length } of disk.extents()) {
        for (let at = offset; at < offset + length; at += CHUNK) {
          const bytes = new Uint8Array(Math.min(CHUNK, offset + length - at));
          await disk.read(bytes, at);
          await file.write(bytes, 0, bytes.length, at);
        }
      }
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  },
};

function refuse(format: string): void {
  if (format !== 'raw') throw new Error(`these images are raw, and one is wanted as ${format}`);
}
