/** The tar header (POSIX.1-1988 with GNU's magic), as the writer and the reader share it. Offsets and sizes in bytes. */
export const TAR_BLOCK = 512;

export const TAR = {
  name: { at: 0, size: 100 },
  mode: { at: 100, size: 8 },
  user: { at: 108, size: 8 },
  group: { at: 116, size: 8 },
  length: { at: 124, size: 12 },
  modified: { at: 136, size: 12 },
  checksum: { at: 148, size: 8 },
  type: { at: 156, size: 1 },
  magic: { at: 257, size: 8 },
  prefix: { at: 345, size: 155 },
} as const;

/** VirtualBox and VMware read GNU's header with its base-256 sizes, and neither reads pax records. */
export const GNU_MAGIC = 'ustar  \0';
export const POSIX_MAGIC = 'ustar\0';

/** Largest size that 11 octal digits hold, 8 GiB - 1. */
export const MAX_OCTAL_SIZE = 8 ** 11 - 1;

/** First byte of a number in base 256 instead of octal digits. */
export const BASE_256 = 0x80;

/** Sum of a header's bytes with the checksum itself taken as spaces. */
export function tarChecksum(header: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK; at++) {
    sum += at >= TAR.checksum.at && at < TAR.checksum.at + TAR.checksum.size ? 0x20 : (header[at] ?? 0);
  }
  return sum;
}
