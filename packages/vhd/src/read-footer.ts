import { FormatError, type ImageFile, UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { checksum } from './checksum.js';
import { DISK_TYPE, FOOTER, FOOTER_COOKIE, MAX_SIZE, NO_OFFSET, SECTOR, SHORT_FOOTER_SIZE } from './layout.js';

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
  /** In seconds since the Unix epoch. */
  readonly time: number;
  /** 32 hexadecimal digits. */
  readonly uniqueId: string;
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
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
  if (cookie !== FOOTER_COOKIE) {
    const atStart = file.size >= FOOTER.size && hasCookie(await readAt(file, 0, FOOTER.size));
    throw new FormatError('vhd-footer-missing', 'the VHD footer at the end of the file is missing', {
      file: file.path,
      offset,
      expected: JSON.stringify(FOOTER_COOKIE),
      found: printable(cookie),
      hint: atStart
        ? 'there is a copy at the start: it is a truncated VHD (copy it again), or a raw disk that looks like one (--from raw)'
        : 'the file is not a VHD, or not all of it',
    });
  }
  expectChecksum(file, 'footer', footer, FOOTER.checksum, offset);
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
    time: UNIX_SECONDS_OF_2000 + footer.readUInt32BE(FOOTER.timestamp),
    uniqueId: footer.toString('hex', FOOTER.uniqueId, FOOTER.uniqueId + 16),
    cylinders: footer.readUInt16BE(FOOTER.cylinders),
    heads: footer.readUInt8(FOOTER.heads),
    sectorsPerTrack: footer.readUInt8(FOOTER.sectorsPerTrack),
  };
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
  return Buffer.from(bytes).toString('latin1', 0, 8) === FOOTER_COOKIE;
}

/** Whether the bytes, 511 or 512 of them, are a footer with a checksum that is right. */
export function isFooter(bytes: Uint8Array): boolean {
  const footer = padFooter(bytes);
  return hasCookie(footer) && footer.readUInt32BE(FOOTER.checksum) === checksum(footer, FOOTER.checksum);
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
      hint: 'the file is damaged; copy it again',
    });
  }
}

export async function readAt(file: ImageFile, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await file.read(bytes, offset);
  return bytes;
}

/** Text of a file as it may be shown: nothing in it can drive a terminal. */
export function printable(text: string): string {
  return JSON.stringify(text.replaceAll(/\p{C}/gu, '?'));
}

function padFooter(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes], FOOTER.size);
}
