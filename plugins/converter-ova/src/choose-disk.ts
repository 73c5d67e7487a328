import { FormatError, formatBytes } from '@polyvisor/core';
import { namesOf, type OvfDiskEntry } from './ovf-reader.js';
import { printable } from './xml-reader.js';

/** What a disk is called: its file, or its identifier where it has none. */
export function nameOf({ href, id }: OvfDiskEntry): string {
  return printable(href === undefined || href === '' ? id : href);
}

/** The disk that was asked for by its number from 1, its file or its identifier; without a choice, the only one. */
export function chooseDisk(path: string, disks: readonly OvfDiskEntry[], wanted: string | undefined): OvfDiskEntry {
  const [first] = disks;
  if (wanted === undefined && disks.length === 1 && first !== undefined) return first;
  const found =
    wanted === undefined
      ? undefined
      : ((/^[1-9]\d{0,2}$/.test(wanted) ? disks[Number(wanted) - 1] : undefined) ??
        disks.find(({ href }) => href !== undefined && namesOf(href).includes(wanted)) ??
        disks.find(({ id }) => id === wanted));
  if (found !== undefined) return found;
  const list = disks.map(
    (disk, index) =>
      `${index + 1}: ${nameOf(disk)}${disk.capacity === undefined ? '' : ` (${formatBytes(disk.capacity)})`}`,
  );
  const shown = list.length > LISTED ? [...list.slice(0, LISTED), `and ${list.length - LISTED} more`] : list;
  throw new FormatError(
    wanted === undefined ? 'ova-several-disks' : 'ova-no-such-disk',
    `${wanted === undefined ? `the appliance has ${disks.length} disks` : `the appliance has no disk ${JSON.stringify(wanted)}`}; ${shown.join(', ')}`,
    { file: path, hint: 'choose one with --disk, by its number or its name' },
  );
}

/** Disks that a message names. */
const LISTED = 20;
