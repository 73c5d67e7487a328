import type { ByteSource } from '@polyvisor/core';
import { apfs, bitlocker, hfs, iso9660, luks, lvm, raid } from './containers.js';
import { btrfs, erofs, ext, f2fs, jfs, reiserfs, squashfs, swap, xfs } from './linux.js';
import { exfat, fat, ntfs } from './microsoft.js';
import { type FileSystem, type Volume, volumeAt } from './superblock.js';

type Prober = (volume: Volume) => FileSystem | undefined | Promise<FileSystem | undefined>;

/** Marks at the start come first, weak ones last: a boot sector of FAT has few bytes that nothing else could have. */
const PROBERS: readonly Prober[] = [
  luks,
  lvm,
  bitlocker,
  raid,
  ntfs,
  exfat,
  xfs,
  squashfs,
  apfs,
  swap,
  btrfs,
  f2fs,
  erofs,
  hfs,
  ext,
  reiserfs,
  jfs,
  fat,
  iso9660,
];

/** The file system, or what is there in its place, at a position of a disk. Reads at most 200 KiB, whatever it finds. */
export async function probeFileSystem(disk: ByteSource, start: number, size: number): Promise<FileSystem | undefined> {
  const volume = await volumeAt(disk, start, Math.min(size, Math.max(0, disk.size - start)));
  for (const probe of PROBERS) {
    const found = await probe(volume);
    if (found !== undefined) return found;
  }
  return undefined;
}
