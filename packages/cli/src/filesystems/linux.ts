import { type FileSystem, fileSystem, text, uuidAt, type Volume } from './superblock.js';

/** Incompatible and read-only-compatible features that only ext4 has: extents, 64 bit, flexible groups, huge files, checksums, … */
const EXT4_INCOMPATIBLE = 0x40 | 0x80 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000;
const EXT4_READ_ONLY = 0x8 | 0x10 | 0x20 | 0x40 | 0x200 | 0x400;
const EXT_64BIT = 0x80;
const EXT_JOURNAL = 0x4;

/** Ext superblocks begin at byte 1024 (Linux, Documentation/filesystems/ext4/super.rst). */
export function ext({ head }: Volume): FileSystem | undefined {
  const block = head.subarray(1024, 2048);
  if (block.readUInt16LE(0x38) !== 0xef53) return undefined;
  const incompatible = block.readUInt32LE(0x60);
  const isExt4 = (incompatible & EXT4_INCOMPATIBLE) !== 0 || (block.readUInt32LE(0x64) & EXT4_READ_ONLY) !== 0;
  const hasJournal = (block.readUInt32LE(0x5c) & EXT_JOURNAL) !== 0;
  const high = (incompatible & EXT_64BIT) === 0 ? 0 : block.readUInt32LE(0x150);
  return fileSystem(isExt4 ? 'ext4' : hasJournal ? 'ext3' : 'ext2', {
    label: text(block, 0x78, 16),
    uuid: uuidAt(block, 0x68),
    size: (high * 2 ** 32 + block.readUInt32LE(4)) * 1024 * 2 ** Math.min(block.readUInt32LE(0x18), 16),
  });
}

/** Big-endian; the superblock is the first sector. */
export function xfs({ head }: Volume): FileSystem | undefined {
  if (head.toString('latin1', 0, 4) !== 'XFSB') return undefined;
  const size = head.readUInt32BE(4) * Number(head.readBigUInt64BE(8));
  return fileSystem('xfs', { label: text(head, 108, 12), uuid: uuidAt(head, 32), size });
}

export function btrfs({ head }: Volume): FileSystem | undefined {
  const block = head.subarray(64 * 1024);
  if (block.toString('latin1', 0x40, 0x48) !== '_BHRfS_M') return undefined;
  const size = Number(block.readBigUInt64LE(0x70));
  return fileSystem('btrfs', { label: text(block, 0x12b, 256), uuid: uuidAt(block, 0x20), size });
}

export function f2fs({ head }: Volume): FileSystem | undefined {
  const block = head.subarray(1024);
  if (block.readUInt32LE(0) !== 0xf2f52010) return undefined;
  return fileSystem('f2fs', {
    label: block.toString('utf16le', 124, 124 + 1024).replace(/\0[^]*$/, ''),
    uuid: uuidAt(block, 108),
    size: Number(block.readBigUInt64LE(36)) * 2 ** Math.min(block.readUInt32LE(16), 16),
  });
}

export function erofs({ head }: Volume): FileSystem | undefined {
  const block = head.subarray(1024);
  if (block.readUInt32LE(0) !== 0xe0f5e1e2) return undefined;
  const size = block.readUInt32LE(36) * 2 ** Math.min(block[12] ?? 0, 16);
  return fileSystem('erofs', { label: text(block, 64, 16), uuid: uuidAt(block, 48), size });
}

export function squashfs({ head }: Volume): FileSystem | undefined {
  if (head.toString('latin1', 0, 4) !== 'hsqs') return undefined;
  return fileSystem('squashfs', { size: Number(head.readBigUInt64LE(40)) });
}

export function reiserfs({ head }: Volume): FileSystem | undefined {
  const block = head.subarray(64 * 1024);
  return block.toString('latin1', 52, 58) === 'ReIsEr'
    ? fileSystem('reiserfs', { size: block.readUInt32LE(0) * block.readUInt16LE(44) })
    : undefined;
}

export function jfs({ head }: Volume): FileSystem | undefined {
  return head.toString('latin1', 32_768, 32_772) === 'JFS1' ? fileSystem('jfs') : undefined;
}

/** The mark is at the end of the first page, whose size is the processor's. */
export function swap({ head }: Volume): FileSystem | undefined {
  const page = [4096, 8192, 16_384, 65_536].find((size) => head.toString('latin1', size - 10, size) === 'SWAPSPACE2');
  if (page === undefined) return undefined;
  const size = (head.readUInt32LE(1028) + 1) * page;
  return fileSystem('swap', { label: text(head, 1052, 16), uuid: uuidAt(head, 1036), size });
}
