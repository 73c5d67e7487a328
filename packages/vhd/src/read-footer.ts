import { FormatError, type ImageFile, UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { checksum } from './checksum.js';
import {
  DISK_TYPE,
  FEATURES_TEMPORARY,
  FOOTER,
  FOOTER_COOKIE,
  MAX_SIZE,
  NO_OFFSET,
  POISON_COOKIE,
  SECTOR,
  SHORT_FOOTER_SIZE,
} from './layout.js';
import { printable, readAt } from './read-at.js';
import { uuidText } from './uuid.js';

export interface Footer {
  /** Where the footer starts in the file, and its bytes as stored there (511 or 512). */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly diskType: number;
  /** Of the virtual disk, in bytes. */
  readonly size: number;
  readonly originalSize: bigint;
  readonly dataOffset: bigint;
  /** As stored: four characters, possibly with NUL. */
  readonly creatorApplication: string;
  readonly creatorVersion: number;
  /** Four characters such as `Wi2k`; empty for none. */
  readonly creatorHostOs: string;
  /** In seconds since the Unix epoch. */
  readonly time: number;
  /** A UUID, lower case. */
  readonly uniqueId: string;
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
  /** It belongs to a machine that was suspended. */
  readonly savedState: boolean;
  /** blktap: it is only the parent of others. */
  readonly hidden: boolean;
  readonly temporary: boolean;
  /** blktap: it must not be used. */
  readonly poisoned: boolean;
}

/** Reads and checks the footer at the end of the file, which is what decides; the copy at its start is only compared. */
export async function readFooter(file: ImageFile): Promise<Footer> {
  const remainder = file.size % SECTOR;
  if (file.size < SHORT_FOOTER_SIZE || (remainder !== 0 && remainder !== SHORT_FOOTER_SIZE)) {
    throw new FormatError('vhd-truncated', 'a VHD ends with a footer on a multiple of 512 bytes', {
      file: file.path,
      expected: 'a length that is a multiple of 512, or 511 more (footers before 2004)',
      found: `${file.size}`,
      hint: 'the file was probably cut off while it was copied; copy it again',
    });
  }
  const bytes = await readAt(file, file.size - (remainder || FOOTER.size), remainder || FOOTER.size);
  const offset = file.size - bytes.length;
  const footer = padFooter(bytes);
  const cookie = footer.toString('latin1', 0, 8);
  if (!hasCookie(footer)) {
    const atStart = file.size >= FOOTER.size && hasCookie(await readAt(file, 0, FOOTER.size));
    throw new FormatError('vhd-footer-missing', 'the VHD footer at the end of the file is missing', {
      file: file.path,
      offset,
      expected: JSON.stringify(FOOTER_COOKIE),
      found: printable(cookie),
      hint: atStart
        ? 'there is a copy at the start: it is a truncated VHD (copy it again; if only the end is missing, repair it), or a raw disk that looks like one (--from raw)'
        : 'the file is not a VHD, or not all of it',
    });
  }
  if (!isFooter(bytes)) expectChecksum(file, 'footer', footer, FOOTER.checksum, offset);
  const major = footer.readUInt16BE(FOOTER.version);
  if (major !== 1) {
    throw new FormatError('vhd-version', 'this version of the VHD format is not known', {
      file: file.path,
      offset: offset + FOOTER.version,
      expected: '1',
      found: `${major}`,
    });
  }
  const size = footer.readBigUInt64BE(FOOTER.currentSize);
  if (size === 0n || size > MAX_SIZE || size % BigInt(SECTOR) !== 0n) {
    throw new FormatError('vhd-size', 'the size of the virtual disk is impossible', {
      file: file.path,
      offset: offset + FOOTER.currentSize,
      expected: `a positive multiple of ${SECTOR}, at most ${MAX_SIZE} (2040 GiB)`,
      found: `${size}`,
    });
  }
  return {
    offset,
    bytes,
    diskType: footer.readUInt32BE(FOOTER.diskType),
    size: Number(size),
    originalSize: footer.readBigUInt64BE(FOOTER.originalSize),
    dataOffset: footer.readBigUInt64BE(FOOTER.dataOffset),
    creatorApplication: footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 4),
    creatorVersion: footer.readUInt32BE(FOOTER.creatorVersion),
    creatorHostOs: fourCharacters(footer.subarray(FOOTER.creatorHostOs, FOOTER.creatorHostOs + 4)),
    time: UNIX_SECONDS_OF_2000 + footer.readUInt32BE(FOOTER.timestamp),
    uniqueId: uuidText(footer.subarray(FOOTER.uniqueId, FOOTER.uniqueId + 16)),
    cylinders: footer.readUInt16BE(FOOTER.cylinders),
    heads: footer.readUInt8(FOOTER.heads),
    sectorsPerTrack: footer.readUInt8(FOOTER.sectorsPerTrack),
    savedState: footer.readUInt8(FOOTER.savedState) !== 0,
    hidden: footer.readUInt8(FOOTER.hidden) !== 0,
    temporary: (footer.readUInt32BE(FOOTER.features) & FEATURES_TEMPORARY) !== 0,
    poisoned: cookie === POISON_COOKIE,
  };
}

/** Four characters as they may be shown; empty when they are NUL. */
function fourCharacters(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/\0+$/, '')
    .replaceAll(/[^\x20-\x7e]/g, '?');
}

/** Refuses a disk type whose other fields belong to another type: two tools could take it for two different disks. */
export function expectConsistentType(file: ImageFile, footer: Footer): void {
  const { fixed, dynamic, differencing } = DISK_TYPE;
  if (footer.diskType === fixed) {
    // The specification's text has 32 bits of ones for the 64-bit field, and some followed it to the letter.
    if (footer.dataOffset !== NO_OFFSET && footer.dataOffset !== 0xffff_ffffn) {
      throw new FormatError('vhd-type', 'a fixed disk has no dynamic header', {
        file: file.path,
        offset: footer.offset + FOOTER.dataOffset,
        expected: `${NO_OFFSET}`,
        found: `${footer.dataOffset}`,
      });
    }
    if (footer.size > footer.offset) {
      throw new FormatError('vhd-truncated', 'a fixed disk does not fit into its file', {
        file: file.path,
        offset: footer.offset + FOOTER.currentSize,
        expected: `at most ${footer.offset} bytes`,
        found: `${footer.size}`,
      });
    }
  } else if (footer.diskType !== dynamic && footer.diskType !== differencing) {
    throw new FormatError('vhd-type', 'this type of VHD is not known', {
      file: file.path,
      offset: footer.offset + FOOTER.diskType,
      expected: `${fixed} (fixed), ${dynamic} (dynamic) or ${differencing} (differencing)`,
      found: `${footer.diskType}`,
    });
  }
}

/** Whether the bytes start as a footer does. */
export function hasCookie(bytes: Uint8Array): boolean {
  return [FOOTER_COOKIE, POISON_COOKIE].includes(Buffer.from(bytes).toString('latin1', 0, 8));
}

/** Whether the bytes, 511 or 512 of them, are a footer with a checksum that is right. */
export function isFooter(bytes: Uint8Array): boolean {
  return hasCookie(bytes) && hasChecksum(padFooter(bytes));
}

/**
 * Whether the checksum of a footer is right. Early tools of Xen did not count the mark which says that a disk is
 * hidden, and blktap still takes the footers that they made.
 */
export function hasChecksum(footer: Buffer): boolean {
  const stored = footer.readUInt32BE(FOOTER.checksum);
  const expected = checksum(footer, FOOTER.checksum);
  if (stored === expected) return true;
  return hidesLate(footer) && stored === checksum(withoutHidden(footer), FOOTER.checksum);
}

/** Whether it was hidden by a tool that changed nothing but one byte of one footer: blktap 0.1 or 1.1. */
export function hidesLate(footer: Buffer): boolean {
  const version = footer.readUInt32BE(FOOTER.creatorVersion);
  return (
    footer.readUInt8(FOOTER.hidden) !== 0 &&
    footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 3) === 'tap' &&
    (version === 0x0000_0001 || version === 0x0001_0001)
  );
}

export function withoutHidden(footer: Buffer): Buffer {
  const copy = Buffer.from(footer);
  copy.writeUInt8(0, FOOTER.hidden);
  return copy;
}

export function expectChecksum(file: ImageFile, what: string, structure: Buffer, field: number, offset: number): void {
  const found = structure.readUInt32BE(field);
  const expected = checksum(structure, field);
  if (found !== expected) {
    throw new FormatError('vhd-checksum', `the checksum of the ${what} is wrong`, {
      file: file.path,
      offset: offset + field,
      expected: `0x${expected.toString(16)}`,
      found: `0x${found.toString(16)}`,
      hint: 'the file is damaged: copy it again, or repair it if there is no other copy',
    });
  }
}

/** 511 bytes are a footer, too: what they lack is zero. */
export function padFooter(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes], FOOTER.size);
}
