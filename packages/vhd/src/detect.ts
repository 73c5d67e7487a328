import { type Detection, FormatError, type ImageFile } from '@polyvisor/core';
import { DISK_TYPE, FOOTER, SECTOR, SHORT_FOOTER_SIZE } from './layout.js';
import { readAt } from './read-at.js';
import { expectConsistentType, hasCookie, isFooter, readFooter } from './read-footer.js';
import { readDynamicHeader } from './read-header.js';

/**
 * Whether a file is a VHD. What the end of the file says decides. A footer at the start alone is a VHD that was cut off,
 * or a raw disk whose guest wrote one into its first sector: never more than `maybe`.
 *
 * Several converters read VHD, and one of them should be surer than the others: that which made the disk. `mine` tells it
 * by the creator's four characters. Of a sound disk of another's, the answer is `maybe`; of a damaged one, `no`.
 */
export async function detectVhd(file: ImageFile, mine: (creatorApplication: string) => boolean): Promise<Detection> {
  const length = file.size % SECTOR === SHORT_FOOTER_SIZE ? SHORT_FOOTER_SIZE : FOOTER.size;
  if (file.size < length) return 'no';
  const atEnd = await readAt(file, file.size - length, length);
  if (isFooter(atEnd) && (await isSound(file))) return mine(creatorOf(atEnd)) ? 'yes' : 'maybe';
  const marked = [atEnd, await readAt(file, 0, length)].find(hasCookie);
  return marked !== undefined && mine(creatorOf(marked)) ? 'maybe' : 'no';
}

function creatorOf(footer: Buffer): string {
  return footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 4);
}

/** Whether the rest of the file agrees with what its footer says. */
async function isSound(file: ImageFile): Promise<boolean> {
  try {
    const footer = await readFooter(file);
    expectConsistentType(file, footer);
    if (footer.diskType !== DISK_TYPE.fixed) await readDynamicHeader(file, footer);
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
