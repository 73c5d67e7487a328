import { didYouMean, type Partition } from '@polyvisor/core';
import type { DocumentPath } from './document.js';
import { showSize } from './fields.js';

/** Reports what is wrong at a place in the document. */
export type Report = (path: DocumentPath, message: string, hint?: string) => void;

/** Room that the boot loader, its partitions and the tables take at least, whatever provisioner lays out the disk. */
const RESERVED = 2 * 2 ** 20;

/** Rules between partitions: one root, nothing twice, everything fits. */
export function checkPartitions(partitions: readonly Partition[], diskSize: number | undefined, report: Report): void {
  const at = (index: number, key: string): DocumentPath => ['disk', 'partitions', index, key];
  reportTwice(
    partitions.map((partition) => partition.label),
    (index, label) => {
      report(at(index, 'label'), `label "${label}" is given twice`);
    },
  );
  reportTwice(
    partitions.map((partition) => partition.mount),
    (index, mount) => {
      report(at(index, 'mount'), `two partitions are mounted on ${mount}`);
    },
  );
  partitions.forEach((partition, index) => {
    if (partition.filesystem === 'swap' && partition.mount !== undefined) {
      report(at(index, 'mount'), 'swap is not mounted; leave "mount" out');
    } else if (partition.filesystem !== 'swap' && partition.mount === undefined) {
      report(at(index, 'mount'), `partition "${partition.label}" needs a "mount"`);
    }
  });
  if (!partitions.some((partition) => partition.mount === '/')) {
    report(['disk', 'partitions'], 'no partition is mounted on /');
  }
  const open = partitions.flatMap((partition, index) => (partition.size === undefined ? [index] : []));
  for (const index of open.slice(1)) {
    report(
      ['disk', 'partitions', index],
      'only one partition may go without a size',
      'give sizes to all others; it takes the rest of the disk',
    );
  }
  const sum = partitions.reduce((total, partition) => total + (partition.size ?? 0), 0);
  if (diskSize !== undefined && sum + RESERVED > diskSize) {
    report(
      ['disk', 'partitions'],
      `the partitions need ${showSize(sum)} and room for a boot loader, the disk has ${showSize(diskSize)}`,
    );
  }
}

/** A time zone exists, and is spelled as its file is: the guest's file system tells capitals from small letters. */
export function checkTimezone(timezone: string, report: Report): void {
  const known = Intl.supportedValuesOf('timeZone');
  const spelling = known.find((name) => name.toLowerCase() === timezone.toLowerCase());
  if (spelling !== undefined) {
    if (spelling !== timezone) report(['timezone'], `unknown time zone "${timezone}"; did you mean "${spelling}"?`);
    return;
  }
  try {
    // Old and short names (UTC, Etc/GMT+1, US/Pacific) are valid without being in the list.
    new Intl.DateTimeFormat('en', { timeZone: timezone });
  } catch {
    report(['timezone'], `unknown time zone "${timezone}"${didYouMean(timezone, known)}`);
  }
}

/** Only what fetches by itself and can be checked by signatures; `cdrom:` and the like need a person. */
export function checkMirror(mirror: string, path: DocumentPath, report: Report): void {
  const url = URL.canParse(mirror) ? new URL(mirror) : undefined;
  if (url !== undefined && ['http:', 'https:', 'file:'].includes(url.protocol) && !/[\s"'\\[\]]/.test(mirror)) return;
  report(path, `the mirror is not an address that begins with http://, https:// or file://`);
}

const KEY_LINE =
  /^(?:[^\s#][^\r\n]*\s)?(?:sk-)?(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))(?:-cert-v01)?(?:@openssh\.com)?\s+[A-Za-z0-9+/]{20,}={0,3}(?:\s.*)?$/;

/** The public keys in a text, one a line; comments and empty lines are left out. Says what is wrong with the first bad line. */
export function readPublicKeys(text: string): { readonly keys: readonly string[]; readonly problem?: string } {
  if (text.includes('PRIVATE KEY'))
    return { keys: [], problem: 'this is a private key; give the public one, whose file ends in .pub' };
  const keys = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const bad = keys.find((key) => !KEY_LINE.test(key));
  return bad === undefined
    ? { keys }
    : { keys: [], problem: 'not a public key in the form of authorized_keys: "ssh-ed25519 AAAA… comment"' };
}

/** Calls back for each value that was there before. */
export function reportTwice(
  values: readonly (string | undefined)[],
  again: (index: number, value: string) => void,
): void {
  const seen = new Set<string>();
  values.forEach((value, index) => {
    if (value === undefined) return;
    if (seen.has(value)) again(index, value);
    seen.add(value);
  });
}
