import { type Detection, FormatError, type ImageFile } from '@polyvisor/core';
import { DISK_TYPE, FOOTER, SECTOR, SHORT_FOOTER_SIZE } from './layout.js';
import { type Footer, expectConsistentType, hasCookie, isFooter, readAt, readFooter } from './read-footer.js';
import { readDynamicHeader } from './read-header.js';

/**
 * Whether a file is a VHD whose creator `mine` accepts. What the end of the file says decides. A footer at the start
 * alone is a VHD that was cut off, or a raw disk whose guest wrote one into its first sector: never more than `maybe`.
 * A VHD of another creator is `maybe` too, so that of several converters which read VHD one is sure.
 */
export async function detectVhd(file: ImageFile, mine: (creatorApplication: string) => boolean): Promise<Detection> {
  if (file.size < SHORT_FOOTER_SIZE) return 'no';
  const length = file.size % SECTOR === SHORT_FOOTER_SIZE ? SHORT_FOOTER_SIZE : FOOTER.size;
  if (file.size < length) return 'no';
  const atEnd = await readAt(file, file.size - length, length);
  if (isFooter(atEnd)) {
    const footer = await trust(file);
    return footer !== undefined && mine(footer.creatorApplication) ? 'yes' : 'maybe';
  }
  return hasCookie(atEnd) || hasCookie(await readAt(file, 0, length)) ? 'maybe' : 'no';
}

/** The footer, if the rest of the file agrees with what it says. */
async function trust(file: ImageFile): Promise<Footer | undefined> {
  try {
    const footer = await readFooter(file);
    expectConsistentType(file, footer);
    if (footer.diskType !== DISK_TYPE.fixed) await readDynamicHeader(file, footer);
    return footer;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
