import type { ByteSource } from '@polyvisor/core';
import { readPadded } from '@polyvisor/core';

/** What the first blocks of a file system, or of what lies in its place, say about it. */
export interface FileSystem {
  /** As the guest's tools call it: `ext4`, `vfat` by its width (`FAT32`), `ntfs`, `LVM2`, … */
  readonly type: string;
  readonly label?: string;
  readonly uuid?: string;
  /** In bytes, as the file system itself has it. */
  readonly size?: number;
}

/** A place where a file system may be. */
export interface Volume {
  /** Its first bytes, filled up with zeros. */
  readonly head: Buffer;
  /** Reads at most `MAX_READ` further bytes, filled up with zeros. Offsets count from the start of the volume. */
  read(offset: number, length: number): Promise<Buffer>;
}

/** The superblock furthest from the start that is looked at is that of Btrfs, at 64 KiB. */
const HEAD_SIZE = 72 * 1024;

/** Bytes that one further read may take: a cluster of a directory. */
const MAX_READ = 64 * 1024;

export async function volumeAt(disk: ByteSource, start: number, size: number): Promise<Volume> {
  const read = async (offset: number, length: number) => {
    const bytes = Buffer.alloc(length);
    // Offsets come from the volume itself and may be anything.
    const inside = Number.isSafeInteger(offset) && offset >= 0 ? Math.max(0, Math.min(length, size - offset)) : 0;
    if (inside > 0) await readPadded(disk, bytes.subarray(0, inside), start + offset);
    return bytes;
  };
  return {
    head: await read(0, HEAD_SIZE),
    read: (offset, length) => read(offset, Math.min(length, MAX_READ)),
  };
}

/** A file system from its parts; what is empty or impossible is left out. */
export function fileSystem(
  type: string,
  parts: { readonly label?: string; readonly uuid?: string; readonly size?: number } = {},
): FileSystem {
  const { uuid, size } = parts;
  const label = parts.label === undefined ? '' : clean(parts.label);
  return {
    type,
    ...(label === '' ? {} : { label }),
    ...(uuid === undefined || /^[0-]*$/.test(uuid) ? {} : { uuid }),
    ...(size === undefined || !Number.isSafeInteger(size) || size <= 0 ? {} : { size }),
  };
}

/** Text up to its first NUL, of bytes that are UTF-8. */
export function text(bytes: Buffer, offset: number, length: number): string {
  return bytes.toString('utf8', offset, offset + length).replace(/\0[^]*$/, '');
}

export function utf16(bytes: Buffer, offset: number, length: number): string {
  return bytes.toString('utf16le', offset, offset + length).replace(/\0[^]*$/, '');
}

/** Sixteen bytes as people write a UUID. */
export function uuidAt(bytes: Buffer, offset: number): string {
  const digits = bytes.toString('hex', offset, offset + 16);
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Four bytes as the serial number of a FAT volume is written. */
export function serialAt(bytes: Buffer, offset: number): string {
  const digits = bytes.readUInt32LE(offset).toString(16).toUpperCase().padStart(8, '0');
  return `${digits.slice(0, 4)}-${digits.slice(4)}`;
}

/** Labels come from the disk; control characters could do things to a terminal. */
function clean(label: string): string {
  return label.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?').trim();
}
