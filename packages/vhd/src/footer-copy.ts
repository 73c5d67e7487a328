import { FormatError, type ImageFile } from '@polyvisor/core';
import { FOOTER } from './layout.js';
import { readAt } from './read-at.js';
import { type Footer, hidesLate, isFooter, padFooter, withoutHidden } from './read-footer.js';

/** What makes it another disk, rather than another note about the same one: place and length of these fields, in bytes. */
const DECISIVE = [
  [FOOTER.cookie, 8],
  [FOOTER.version, 4],
  [FOOTER.dataOffset, 8],
  [FOOTER.currentSize, 8],
  [FOOTER.diskType, 4],
] as const;

/**
 * Compares the copy at the start of a dynamic disk with the footer. Some tools believe the one, some the other, so a copy
 * that is damaged or describes another disk is refused; one that differs in notes only (times, marks, the geometry) is
 * worth a warning, which is returned.
 */
export async function compareWithCopy(file: ImageFile, footer: Footer): Promise<string | undefined> {
  const copy = padFooter(await readAt(file, 0, FOOTER.size));
  const own = padFooter(footer.bytes);
  if (copy.equals(own) || (hidesLate(copy) && withoutHidden(copy).equals(own))) return undefined;
  const sameDisk = DECISIVE.every(([at, length]) =>
    copy.subarray(at, at + length).equals(own.subarray(at, at + length)),
  );
  if (isFooter(copy) && sameDisk) {
    return 'the footer and its copy at the start of the file differ, but not in what the disk is; the footer was taken';
  }
  const at = copy.findIndex((byte, index) => byte !== own[index]);
  throw new FormatError('vhd-footers-differ', 'the footer and its copy at the start of the file differ', {
    file: file.path,
    offset: at,
    expected: `${own[at]}, as at offset ${footer.offset + at}`,
    found: `${copy[at]}`,
    hint: 'different tools would see different disks; repair makes them alike where one of them must be wrong',
  });
}
