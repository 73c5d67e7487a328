import type { Finding, ImageFile } from '@polyvisor/core';
import { DISK_TYPE, FOOTER, FOOTER_COOKIE, SECTOR, SHORT_FOOTER_SIZE } from '../layout.js';
import { readAt } from '../read-at.js';
import { hasCookie, hidesLate, padFooter, withoutHidden } from '../read-footer.js';
import { BLKTAP, EVERYBODY, MICROSOFT } from './consumers.js';
import { cookieOf, footerRules, missingFooter } from './footer-rules.js';
import { applyRules, finding } from './rule.js';

export interface Footers {
  /** The one that the rest of the check goes by: the footer at the end or, where there is none, its copy. */
  readonly main: Buffer;
  /** Where the footer at the end starts, or should, in bytes. */
  readonly end: number;
}

/** Everything about the two footers. Returns undefined when there is none, and so nothing more to tell. */
export async function* checkFooters(
  file: ImageFile,
  now: number | undefined,
): AsyncGenerator<Finding, Footers | undefined> {
  const remainder = file.size % SECTOR;
  if (file.size < FOOTER.size) {
    yield finding(missingFooter, {
      offset: 0,
      expected: `at least ${FOOTER.size} bytes`,
      found: `${file.size} bytes`,
      refusedBy: EVERYBODY,
    });
    return undefined;
  }
  const length = remainder === 0 ? FOOTER.size : SHORT_FOOTER_SIZE;
  const end = file.size - length;
  const last = padFooter(await readAt(file, end, length));
  const first = await readAt(file, 0, FOOTER.size);
  const main = [last, first].find(hasCookie);
  const absent = { offset: end, expected: JSON.stringify(FOOTER_COOKIE), found: cookieOf(last) };
  if (main === undefined) {
    yield finding(missingFooter, { ...absent, refusedBy: EVERYBODY });
    return undefined;
  }
  const fixed = main.readUInt32BE(FOOTER.diskType) === DISK_TYPE.fixed;
  if (remainder !== 0 && remainder !== SHORT_FOOTER_SIZE) {
    yield finding(
      { rule: 'file-size', severity: 'error', message: 'the file does not end with a sector', refusedBy: [] },
      {
        offset: file.size,
        expected: 'a length that is a multiple of 512, or 511 more (footers before 2004)',
        found: `${file.size}`,
        refusedBy: fixed ? MICROSOFT : [...BLKTAP, ...MICROSOFT], // 2
      },
    );
  }
  if (main === first) {
    yield finding(
      {
        ...missingFooter,
        message: 'the footer at the end of the file is missing',
        hint: 'copy the file again, or repair it',
      },
      { ...absent, refusedBy: [...BLKTAP, ...MICROSOFT] },
    );
  } else {
    const readByQemu = first.equals(last) || (fixed && !isQemuCookie(first));
    yield* applyRules(footerRules, { bytes: last, at: end, readByQemu, now });
  }
  if (fixed && main === last) {
    if (isQemuCookie(first)) yield takenForDynamic();
    return { main, end };
  }
  if (!hasCookie(first)) {
    yield finding(
      {
        ...missingFooter,
        message: 'the copy of the footer at the start of the file is missing',
        hint: 'repair writes it anew',
      },
      { offset: 0, expected: JSON.stringify(FOOTER_COOKIE), found: cookieOf(first), refusedBy: [...BLKTAP, 'kvm'] },
    );
    return { main, end };
  }
  if (main === first || !first.equals(last)) {
    yield* applyRules(footerRules, { bytes: first, at: 0, readByQemu: true, now });
  }
  // 16
  if (main === last && !first.equals(last) && !(hidesLate(first) && withoutHidden(first).equals(last))) {
    const at = first.findIndex((byte, index) => byte !== last[index]);
    yield finding(
      {
        rule: 'footers-differ',
        severity: 'error',
        message: 'the footer and its copy at the start of the file differ',
        refusedBy: BLKTAP,
        hint: 'different tools see different disks; repair makes them alike where one of them must be wrong',
      },
      { offset: at, expected: `${last[at]}, as at offset ${end + at}`, found: `${first[at]}` },
    );
  }
  return { main, end };
}

/** QEMU does not know blktap's mark of a disabled disk. */
function isQemuCookie(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 8) === FOOTER_COOKIE;
}

function takenForDynamic(): Finding {
  return finding(
    {
      rule: 'first-sector',
      severity: 'warning',
      message: 'the first sector of a fixed disk looks like a footer: QEMU takes it for a dynamic one',
      refusedBy: ['kvm'],
      hint: 'its guest may have written it to make QEMU see another disk; convert it to raw or qcow2 for KVM',
    },
    { offset: 0, expected: 'anything but a VHD footer', found: JSON.stringify(FOOTER_COOKIE) },
  );
}
