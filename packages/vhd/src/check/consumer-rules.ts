import { sizedByGeometryOnce } from '../creators.js';
import { DEFAULT_BLOCK_SIZE, DISK_TYPE, FOOTER, SECTOR } from '../layout.js';
import { geometrySize } from '../warnings.js';
import { isBlktap } from './consumers.js';
import type { Rule } from './rule.js';

export interface ConsumerSubject {
  readonly consumer: string | undefined;
  readonly footer: Buffer;
  /** Of the footer at the end, in bytes. */
  readonly at: number;
  readonly fileSize: number;
}

const MiB = 1024n * 1024n;

const sizeOf = (footer: Buffer) => footer.readBigUInt64BE(FOOTER.currentSize);
const typeOf = (footer: Buffer) => footer.readUInt32BE(FOOTER.diskType);

/** Rules that say nothing about the format, and matter only to the one consumer that the user named. */
export const consumerRules: readonly Rule<ConsumerSubject>[] = [
  {
    rule: 'azure-fixed',
    severity: 'error',
    message: 'Azure takes fixed disks only',
    refusedBy: ['azure'],
    hint: 'convert it with --to hyperv-vhd:azure=true',
    breach: ({ consumer, footer, at }) =>
      consumer === 'azure' &&
      typeOf(footer) !== DISK_TYPE.fixed && {
        offset: at + FOOTER.diskType,
        expected: '2 (fixed)',
        found: `${typeOf(footer)}`,
      },
  },
  {
    rule: 'azure-size',
    severity: 'error',
    message: 'Azure takes disks of whole MiB only',
    refusedBy: ['azure'],
    hint: 'convert it with --to hyperv-vhd:azure=true, which rounds the size up',
    breach: ({ consumer, footer, at }) =>
      consumer === 'azure' &&
      sizeOf(footer) % MiB !== 0n && {
        offset: at + FOOTER.currentSize,
        expected: 'a multiple of 1048576',
        found: `${sizeOf(footer)}`,
      },
  },
  {
    rule: 'azure-file-size',
    severity: 'error',
    message: 'Azure takes files of the size of the disk and 512 bytes only',
    refusedBy: ['azure'],
    hint: 'convert it with --to hyperv-vhd:azure=true',
    breach: ({ consumer, footer, fileSize }) =>
      consumer === 'azure' &&
      typeOf(footer) === DISK_TYPE.fixed &&
      sizeOf(footer) + BigInt(FOOTER.size) !== BigInt(fileSize) && {
        offset: 0,
        expected: `${sizeOf(footer) + BigInt(FOOTER.size)} bytes`,
        found: `${fileSize} bytes`,
      },
  },
  {
    rule: 'xen-size',
    severity: 'warning',
    message: 'blktap before 2020 drops the end of a disk that is not a multiple of 2 MiB',
    refusedBy: [],
    hint: 'convert it with --to xen-vhd, which rounds the size up',
    breach: ({ consumer, footer, at }) =>
      isBlktap(consumer) &&
      sizeOf(footer) % BigInt(DEFAULT_BLOCK_SIZE) !== 0n && {
        offset: at + FOOTER.currentSize,
        expected: `a multiple of ${DEFAULT_BLOCK_SIZE}`,
        found: `${sizeOf(footer)}`,
      },
  },
  {
    rule: 'kvm-geometry',
    severity: 'warning',
    message: 'QEMU before 10.0 takes the size of a disk of this creator from its geometry',
    refusedBy: [],
    hint: 'convert it with --to hyperv-vhd, or to qcow2',
    breach: ({ consumer, footer, at }) => {
      const creator = footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 4);
      const size = geometrySize({
        cylinders: footer.readUInt16BE(FOOTER.cylinders),
        heads: footer.readUInt8(FOOTER.heads),
        sectorsPerTrack: footer.readUInt8(FOOTER.sectorsPerTrack),
      });
      return (
        consumer === 'kvm' &&
        sizedByGeometryOnce(creator) &&
        size !== undefined &&
        BigInt(size) !== sizeOf(footer) && {
          offset: at + FOOTER.cylinders,
          expected: `${sizeOf(footer)} bytes`,
          found: `${size} bytes`,
        }
      );
    },
  },
  {
    rule: 'kvm-parent',
    severity: 'error',
    message: 'QEMU opens a differencing disk without its parent, and shows zeros for it',
    refusedBy: [],
    hint: 'convert it together with its parent (--parent)',
    breach: ({ consumer, footer, at }) =>
      consumer === 'kvm' &&
      typeOf(footer) === DISK_TYPE.differencing && {
        offset: at + FOOTER.diskType,
        expected: '2 (fixed) or 3 (dynamic)',
        found: '4 (differencing)',
      },
  },
];

export const fixedSizeRule: Rule<ConsumerSubject> = {
  rule: 'fixed-size',
  severity: 'error',
  message: 'a fixed disk does not fit into its file',
  refusedBy: ['hyperv', 'azure'],
  hint: 'the file was probably cut off while it was copied; copy it again',
  breach: ({ footer, at }) =>
    typeOf(footer) === DISK_TYPE.fixed &&
    sizeOf(footer) > BigInt(Math.floor(at / SECTOR) * SECTOR) && {
      offset: at + FOOTER.currentSize,
      expected: `at most ${at} bytes`,
      found: `${sizeOf(footer)}`,
    },
};
