import { UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { checksum } from '../checksum.js';
import { sizedByGeometry } from '../creators.js';
import { geometryOf } from '../geometry.js';
import {
  DISK_TYPE,
  FEATURES_RESERVED,
  FEATURES_TEMPORARY,
  FOOTER,
  FOOTER_COOKIE,
  MAX_SIZE,
  NO_OFFSET,
  POISON_COOKIE,
  SECTOR,
  VERSION_1_0,
} from '../layout.js';
import { printable } from '../read-at.js';
import { hasChecksum } from '../read-footer.js';
import { geometrySize } from '../warnings.js';
import { BLKTAP, MICROSOFT } from './consumers.js';
import { firstNonZero, hex, type Rule } from './rule.js';

export interface FooterSubject {
  /** 512 bytes; those of a short footer are filled up with zero. */
  readonly bytes: Buffer;
  /** In the file, in bytes. */
  readonly at: number;
  /** QEMU looks at one footer only: the copy of a dynamic disk, the footer of a fixed one. */
  readonly readByQemu: boolean;
  /** Seconds since the Unix epoch; absent when the check has no clock. */
  readonly now: number | undefined;
}

/** Newest version that blktap knows of its own disks: 1.3. */
export const NEWEST_TAP = 0x0001_0003;

/** How far ahead of its own clock blktap lets a time be, for the sake of file servers whose clocks differ. In seconds. */
export const CLOCK_SLACK = 1800;

const isTap = (bytes: Buffer) =>
  bytes.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 3) === 'tap';

const sizeOf = (bytes: Buffer) => bytes.readBigUInt64BE(FOOTER.currentSize);

const isDynamic = (bytes: Buffer) => {
  const type = bytes.readUInt32BE(FOOTER.diskType);
  return type === DISK_TYPE.dynamic || type === DISK_TYPE.differencing;
};

/**
 * Cylinders, heads and sectors as one number. blktap counts sectors in 32 bits, so that an impossible size wraps around;
 * no sector counts as one.
 */
export function standardGeometry(size: bigint): number {
  const sectors = Number(BigInt.asUintN(32, (size + 511n) / 512n)) || 1;
  const { cylinders, heads, sectorsPerTrack } = geometryOf(sectors * SECTOR);
  return cylinders * 0x1_0000 + heads * 0x100 + sectorsPerTrack;
}

export function geometryText(packed: number): string {
  return `${packed >>> 16}/${(packed >>> 8) & 0xff}/${packed & 0xff}`;
}

/** Whether a time of the format, in seconds since 2000, is ahead of a clock. Without one, no time is. */
export function isAhead(timestamp: number, now: number | undefined): boolean {
  return now !== undefined && timestamp > now - UNIX_SECONDS_OF_2000 + CLOCK_SLACK;
}

/** Of a footer with a cookie: what the fields say on their own. The numbers in comments are those of docs/formats/xen-vhd.md. */
export const footerRules: readonly Rule<FooterSubject>[] = [
  {
    rule: 'footer-disabled', // 3
    severity: 'error',
    message: 'blktap has marked the disk as disabled',
    refusedBy: [...BLKTAP, ...MICROSOFT],
    hint: 'find out why its host disabled it before you use it; repair does not enable it',
    breach: ({ bytes, at, readByQemu }) =>
      bytes.toString('latin1', 0, 8) === POISON_COOKIE && {
        offset: at,
        expected: JSON.stringify(FOOTER_COOKIE),
        found: JSON.stringify(POISON_COOKIE),
        ...(readByQemu && { refusedBy: [...BLKTAP, ...MICROSOFT, 'kvm'] }),
      },
  },
  {
    rule: 'footer-checksum', // 4
    severity: 'error',
    message: 'the checksum of the footer is wrong',
    refusedBy: [...BLKTAP, ...MICROSOFT],
    hint: 'the footer is damaged, or was edited by hand: copy the file again, or repair it',
    breach: ({ bytes, at, readByQemu }) =>
      !hasChecksum(bytes) && {
        offset: at + FOOTER.checksum,
        expected: hex(checksum(bytes, FOOTER.checksum)),
        found: hex(bytes.readUInt32BE(FOOTER.checksum)),
        ...(readByQemu && { refusedBy: [...BLKTAP, ...MICROSOFT, 'kvm'] }),
      },
  },
  {
    rule: 'footer-features', // 5
    severity: 'error',
    message: 'the features of the footer are not those of the format',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const features = bytes.readUInt32BE(FOOTER.features);
      return (
        ((features & FEATURES_RESERVED) === 0 || (features & ~(FEATURES_RESERVED | FEATURES_TEMPORARY)) !== 0) && {
          offset: at + FOOTER.features,
          expected: '2, or 3 for a temporary disk',
          found: hex(features),
        }
      );
    },
  },
  {
    rule: 'footer-version', // 6
    severity: 'error',
    message: 'this version of the format is not known',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      bytes.readUInt32BE(FOOTER.version) !== VERSION_1_0 && {
        offset: at + FOOTER.version,
        expected: hex(VERSION_1_0),
        found: hex(bytes.readUInt32BE(FOOTER.version)),
      },
  },
  {
    rule: 'footer-data-offset', // 7
    severity: 'warning',
    message: 'a disk that is neither dynamic nor differencing has no dynamic header',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const offset = bytes.readBigUInt64BE(FOOTER.dataOffset);
      return (
        !isDynamic(bytes) &&
        offset !== NO_OFFSET && {
          offset: at + FOOTER.dataOffset,
          expected: hex(NO_OFFSET),
          found: hex(offset),
          // The reader takes 32 bits of ones, which the specification prints, but no real offset.
          severity: offset === 0xffff_ffffn ? 'warning' : 'error',
        }
      );
    },
  },
  {
    rule: 'footer-time', // 8
    severity: 'warning',
    message: 'the disk was made in the future',
    refusedBy: BLKTAP,
    hint: 'the maker probably wrote seconds since 1970, where the format has seconds since 2000',
    breach: ({ bytes, at, now }) => {
      const timestamp = bytes.readUInt32BE(FOOTER.timestamp);
      return (
        isAhead(timestamp, now) && {
          offset: at + FOOTER.timestamp,
          expected: `at most ${CLOCK_SLACK} seconds ahead`,
          found: new Date((timestamp + UNIX_SECONDS_OF_2000) * 1000).toISOString(),
        }
      );
    },
  },
  {
    rule: 'footer-tap-version', // 9
    severity: 'warning',
    message: 'this version of blktap is not known to blktap',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      isTap(bytes) &&
      bytes.readUInt32BE(FOOTER.creatorVersion) > NEWEST_TAP && {
        offset: at + FOOTER.creatorVersion,
        expected: `at most ${hex(NEWEST_TAP)}`,
        found: hex(bytes.readUInt32BE(FOOTER.creatorVersion)),
      },
  },
  {
    rule: 'footer-tap-obsolete',
    severity: 'warning',
    message: 'blktap no longer opens dynamic disks of its version 0.1',
    refusedBy: BLKTAP,
    hint: 'convert it; polyvisor still reads it',
    breach: ({ bytes, at }) =>
      isTap(bytes) &&
      isDynamic(bytes) &&
      bytes.readUInt32BE(FOOTER.creatorVersion) === 0x0000_0001 && {
        offset: at + FOOTER.creatorVersion,
        expected: 'at least 0x10001',
        found: '0x1',
      },
  },
  {
    rule: 'footer-geometry', // 10
    severity: 'warning',
    message: 'the geometry is larger than the one that the specification gives to a disk of this size',
    refusedBy: BLKTAP,
    hint: 'repair sets the geometry of the specification',
    breach: ({ bytes, at }) => {
      const packed = bytes.readUInt32BE(FOOTER.cylinders);
      const standard = standardGeometry(sizeOf(bytes));
      return (
        packed > standard && {
          offset: at + FOOTER.cylinders,
          expected: `at most ${geometryText(standard)}`,
          found: geometryText(packed),
        }
      );
    },
  },
  {
    rule: 'footer-geometry-size',
    severity: 'warning',
    message: 'QEMU takes the size of a disk of this creator from its geometry, and that differs from its size',
    refusedBy: [],
    hint: 'the end of the disk is lost, or zeros are added, where QEMU opens it; convert it',
    breach: ({ bytes, at }) => {
      const creator = bytes.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 4);
      const size = geometrySize({
        cylinders: bytes.readUInt16BE(FOOTER.cylinders),
        heads: bytes.readUInt8(FOOTER.heads),
        sectorsPerTrack: bytes.readUInt8(FOOTER.sectorsPerTrack),
      });
      return (
        sizedByGeometry(creator) &&
        size !== undefined &&
        BigInt(size) !== sizeOf(bytes) && {
          offset: at + FOOTER.cylinders,
          expected: `${sizeOf(bytes)} bytes`,
          found: `${size} bytes`,
        }
      );
    },
  },
  {
    rule: 'footer-type', // 11
    severity: 'error',
    message: 'this type of disk is not known',
    refusedBy: [...BLKTAP, ...MICROSOFT, 'virtualbox'],
    breach: ({ bytes, at }) => {
      const type = bytes.readUInt32BE(FOOTER.diskType);
      return (
        (type < DISK_TYPE.fixed || type > DISK_TYPE.differencing) && {
          offset: at + FOOTER.diskType,
          expected: '2 (fixed), 3 (dynamic) or 4 (differencing)',
          found: `${type}`,
        }
      );
    },
  },
  {
    rule: 'footer-saved-state', // 12
    severity: 'error',
    message: 'the mark of a suspended machine is neither set nor clear',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => flag(bytes, at, FOOTER.savedState),
  },
  {
    rule: 'footer-hidden', // 12
    severity: 'error',
    message: 'the mark of a hidden disk is neither set nor clear',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => flag(bytes, at, FOOTER.hidden),
  },
  {
    rule: 'footer-reserved', // 13
    severity: 'error',
    message: 'the reserved bytes at the end of the footer are not zero',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const index = firstNonZero(bytes.subarray(FOOTER.reserved));
      if (index === undefined) return undefined;
      const found = { offset: at + FOOTER.reserved + index, expected: '0', found: `${bytes[FOOTER.reserved + index]}` };
      // vhd-util takes the position of the first such byte for the answer, and so overlooks it at position 0.
      return index === 0 ? { ...found, refusedBy: [] } : found;
    },
  },
  {
    rule: 'footer-uuid', // 14
    severity: 'error',
    message: 'the disk has no unique id',
    refusedBy: BLKTAP,
    hint: 'repair gives it one',
    breach: ({ bytes, at }) =>
      firstNonZero(bytes.subarray(FOOTER.uniqueId, FOOTER.uniqueId + 16)) === undefined && {
        offset: at + FOOTER.uniqueId,
        expected: 'a UUID',
        found: 'zeros',
      },
  },
  {
    rule: 'footer-size',
    severity: 'error',
    message: 'the size of the virtual disk is impossible',
    refusedBy: MICROSOFT,
    breach: ({ bytes, at, readByQemu }) => {
      const size = sizeOf(bytes);
      return (
        (size === 0n || size % BigInt(SECTOR) !== 0n || size > MAX_SIZE) && {
          offset: at + FOOTER.currentSize,
          expected: `a positive multiple of ${SECTOR}, at most ${MAX_SIZE} (2040 GiB)`,
          found: `${size}`,
          ...(readByQemu && size > MAX_SIZE && { refusedBy: [...MICROSOFT, 'kvm'] }),
        }
      );
    },
  },
  {
    rule: 'footer-original-size',
    severity: 'warning',
    message: 'the size that the disk was made with is impossible',
    refusedBy: [],
    breach: ({ bytes, at }) => {
      const size = bytes.readBigUInt64BE(FOOTER.originalSize);
      return (
        (size === 0n || size % BigInt(SECTOR) !== 0n || size > MAX_SIZE) && {
          offset: at + FOOTER.originalSize,
          expected: `a positive multiple of ${SECTOR}, such as the size now, ${sizeOf(bytes)}`,
          found: `${size}`,
        }
      );
    },
  },
];

function flag(bytes: Buffer, at: number, field: number) {
  const value = bytes.readUInt8(field);
  return value > 1 && { offset: at + field, expected: '0 or 1', found: `${value}` };
}

export const missingFooter: Omit<Rule<never>, 'breach'> = {
  rule: 'footer-missing', // 3
  severity: 'error',
  message: 'there is no VHD footer',
  refusedBy: [],
};

export function cookieOf(bytes: Buffer): string {
  return printable(bytes.toString('latin1', 0, 8));
}
