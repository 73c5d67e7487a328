import { resolve } from 'node:path';
import { type BlockNode, FormatError, type ImageFile } from '@polyvisor/core';
import { DISK_TYPE, FOOTER } from './layout.js';
import { readAt } from './read-at.js';
import { hasCookie, readFooter } from './read-footer.js';

/**
 * How QEMU opens a VHD. Its driver looks at the first sector before the last: a fixed disk whose guest wrote a footer
 * there would be taken for a dynamic one, so that such a disk is given as a window of the raw file instead.
 */
export async function vhdBlockNode(file: ImageFile): Promise<BlockNode> {
  const footer = await readFooter(file);
  if (footer.diskType === DISK_TYPE.differencing) {
    throw new FormatError('vhd-differencing', 'QEMU does not read the parent of a differencing disk', {
      file: file.path,
      offset: footer.offset + FOOTER.diskType,
      expected: `${DISK_TYPE.fixed} (fixed) or ${DISK_TYPE.dynamic} (dynamic)`,
      found: `${DISK_TYPE.differencing} (differencing)`,
      hint: 'convert it together with its parent (--parent)',
    });
  }
  const protocol = { driver: 'file', filename: resolve(file.path) };
  if (footer.diskType === DISK_TYPE.fixed && hasCookie(await readAt(file, 0, FOOTER.size))) {
    return { driver: 'raw', offset: 0, size: footer.size, file: protocol };
  }
  return { driver: 'vpc', file: protocol };
}
