import { checksum } from '../checksum.js';
import { FOOTER, HEADER, HEADER_COOKIE, NO_OFFSET, SECTOR, VERSION_1_0, DEFAULT_BLOCK_SIZE } from '../layout.js';
import { parentLocators } from '../parent-locators.js';
import { printable } from '../read-at.js';
import { MAX_BLOCK_SIZE, MIN_BLOCK_SIZE } from '../read-header.js';
import { BLKTAP, type Consumer, EVERYBODY, MICROSOFT } from './consumers.js';
import { isPlatformCode } from './locator-text.js';
import { firstNonZero, hex, type Rule } from './rule.js';

export interface HeaderSubject {
  readonly bytes: Buffer;
  /** In the file, in bytes. */
  readonly at: number;
  /** Current size of the disk, in bytes. */
  readonly size: bigint;
  readonly fileSize: number;
}

/** The bytes of a file that QEMU counts: it fills up the last sector. */
export const sectorsUp = (bytes: number) => Math.ceil(bytes / SECTOR) * SECTOR;

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

/** Blocks of a disk as blktap counts them, always in 2 MiB. */
export function blktapBlocks(size: bigint): bigint {
  return (size + BigInt(DEFAULT_BLOCK_SIZE) - 1n) / BigInt(DEFAULT_BLOCK_SIZE);
}

/** The dynamic header's fields on their own. The numbers in comments are those of docs/formats/xen-vhd.md. */
export const headerRules: readonly Rule<HeaderSubject>[] = [
  {
    rule: 'header-cookie', // 17
    severity: 'error',
    message: 'there is no dynamic header where the footer says',
    refusedBy: EVERYBODY,
    breach: ({ bytes, at }) =>
      bytes.toString('latin1', 0, 8) !== HEADER_COOKIE && {
        offset: at,
        expected: JSON.stringify(HEADER_COOKIE),
        found: printable(bytes.toString('latin1', 0, 8)),
      },
  },
  {
    rule: 'header-checksum', // 17
    severity: 'error',
    message: 'the checksum of the dynamic header is wrong',
    refusedBy: [...BLKTAP, ...MICROSOFT],
    hint: 'the header is damaged, or was edited by hand: copy the file again, or repair it',
    breach: ({ bytes, at }) =>
      bytes.readUInt32BE(HEADER.checksum) !== checksum(bytes, HEADER.checksum) && {
        offset: at + HEADER.checksum,
        expected: hex(checksum(bytes, HEADER.checksum)),
        found: hex(bytes.readUInt32BE(HEADER.checksum)),
      },
  },
  {
    rule: 'header-version', // 17
    severity: 'error',
    message: 'this version of the dynamic header is not known',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      bytes.readUInt32BE(HEADER.version) !== VERSION_1_0 && {
        offset: at + HEADER.version,
        expected: hex(VERSION_1_0),
        found: hex(bytes.readUInt32BE(HEADER.version)),
      },
  },
  {
    rule: 'header-data-offset', // 17
    severity: 'warning',
    message: 'the dynamic header says that another structure follows it',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      bytes.readBigUInt64BE(HEADER.dataOffset) !== NO_OFFSET && {
        offset: at + HEADER.dataOffset,
        expected: hex(NO_OFFSET),
        found: hex(bytes.readBigUInt64BE(HEADER.dataOffset)),
      },
  },
  {
    rule: 'table-offset', // 18
    severity: 'error',
    message: 'the block allocation table is not inside the file, or not on a sector',
    refusedBy: [...BLKTAP, ...MICROSOFT],
    breach: ({ bytes, at, fileSize }) => {
      const offset = bytes.readBigUInt64BE(HEADER.tableOffset);
      const length = BigInt(bytes.readUInt32BE(HEADER.maxTableEntries)) * 4n;
      const beyond = offset + length > BigInt(sectorsUp(fileSize));
      return (
        (offset === 0n || offset % BigInt(SECTOR) !== 0n || offset + length > BigInt(fileSize - FOOTER.size)) && {
          offset: at + HEADER.tableOffset,
          expected: `a multiple of ${SECTOR} with room for ${length} bytes before ${fileSize - FOOTER.size}`,
          found: `${offset}`,
          ...(beyond && { refusedBy: EVERYBODY }),
        }
      );
    },
  },
  {
    rule: 'table-place',
    severity: 'error',
    message: 'the block allocation table lies over a header',
    refusedBy: [],
    breach: ({ bytes, at }) => {
      const start = bytes.readBigUInt64BE(HEADER.tableOffset);
      const end = start + BigInt(bytes.readUInt32BE(HEADER.maxTableEntries)) * 4n;
      const over = (from: number, length: number) => start < BigInt(from + length) && end > BigInt(from);
      return (
        (over(0, FOOTER.size) || over(at, HEADER.size)) && {
          offset: at + HEADER.tableOffset,
          expected: `nothing before ${FOOTER.size}, nor from ${at} to ${at + HEADER.size}`,
          found: `${start} to ${end}`,
        }
      );
    },
  },
  {
    rule: 'block-size', // 19
    severity: 'error',
    message: 'the block size is impossible',
    refusedBy: [],
    breach: ({ bytes, at }) => {
      const size = bytes.readUInt32BE(HEADER.blockSize);
      const power = isPowerOfTwo(size);
      const refusedBy: Consumer[] = [];
      if (!power || size > DEFAULT_BLOCK_SIZE) refusedBy.push(...BLKTAP);
      if (!power || size < SECTOR) refusedBy.push('kvm', ...MICROSOFT);
      const readable = power && size >= MIN_BLOCK_SIZE && size <= MAX_BLOCK_SIZE;
      return (
        (!readable || refusedBy.length > 0) && {
          offset: at + HEADER.blockSize,
          expected: `a power of two from ${MIN_BLOCK_SIZE} to ${DEFAULT_BLOCK_SIZE}`,
          found: `${size}`,
          refusedBy,
          severity: readable ? 'warning' : 'error',
        }
      );
    },
  },
  {
    rule: 'header-reserved', // 20
    severity: 'error',
    message: 'the first reserved bytes of the dynamic header are not zero',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) =>
      bytes.readUInt32BE(HEADER.reserved) !== 0 && {
        offset: at + HEADER.reserved,
        expected: '0',
        found: hex(bytes.readUInt32BE(HEADER.reserved)),
      },
  },
  {
    rule: 'header-more-reserved', // 20
    severity: 'error',
    message: 'the reserved bytes at the end of the dynamic header are not zero',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const index = firstNonZero(bytes.subarray(HEADER.moreReserved));
      if (index === undefined) return undefined;
      const place = HEADER.moreReserved + index;
      const found = { offset: at + place, expected: '0', found: `${bytes[place]}` };
      return index === 0 ? { ...found, refusedBy: [] } : found; // as in the footer, vhd-util overlooks the first byte
    },
  },
  {
    rule: 'locator-code', // 21
    severity: 'warning',
    message: 'a parent locator is of a kind that the specification does not know',
    refusedBy: BLKTAP,
    breach: ({ bytes, at }) => {
      const index = parentLocators(bytes).findIndex(({ code }) => !isPlatformCode(code));
      return (
        index !== -1 && {
          offset: at + HEADER.locators + index * 24,
          expected: 'W2ru, W2ku, MacX, Mac, Wi2r, Wi2k or nothing',
          found: hex(parentLocators(bytes)[index]?.code ?? 0),
        }
      );
    },
  },
  {
    rule: 'table-entries', // 24
    severity: 'error',
    message: 'the block allocation table has fewer entries than the disk has blocks',
    refusedBy: [],
    breach: ({ bytes, at, size }) => {
      const entries = BigInt(bytes.readUInt32BE(HEADER.maxTableEntries));
      const blockSize = BigInt(bytes.readUInt32BE(HEADER.blockSize));
      const tooFew = entries * blockSize < size;
      const tooFewForBlktap = entries < blktapBlocks(size);
      const tooMany = entries > 0x7fff_ffffn / 4n;
      const refusedBy: Consumer[] = [];
      if (tooFewForBlktap) refusedBy.push(...BLKTAP);
      if (tooFew) refusedBy.push(...MICROSOFT);
      if (tooFew || tooMany) refusedBy.push('kvm');
      return (
        refusedBy.length > 0 && {
          offset: at + HEADER.maxTableEntries,
          expected: `at least ${blockSize === 0n ? blktapBlocks(size) : (size + blockSize - 1n) / blockSize}`,
          found: `${entries}`,
          refusedBy,
        }
      );
    },
  },
];
