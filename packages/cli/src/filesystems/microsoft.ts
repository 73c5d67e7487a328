import { readFat } from './fat.js';
import { type FileSystem, fileSystem, serialAt, utf16, type Volume } from './superblock.js';

export function fat({ head }: Volume): FileSystem | undefined {
  const layout = readFat(head);
  if (layout === undefined) return undefined;
  // The boot sector's extended part (mark 0x29) begins later in FAT32, behind the fields that only it has.
  const extended = layout.bits === 32 ? 66 : 38;
  const size = layout.sectors * layout.sectorSize;
  if (head[extended] !== 0x29) return fileSystem(`FAT${layout.bits}`, { size });
  const label = head.toString('latin1', extended + 5, extended + 16);
  return fileSystem(`FAT${layout.bits}`, {
    label: label.startsWith('NO NAME') ? '' : label,
    uuid: serialAt(head, extended + 1),
    size,
  });
}

/** Entry of a root directory that holds the label, its length in characters in the next byte. */
const EXFAT_LABEL = 0x83;

export async function exfat({ head, read }: Volume): Promise<FileSystem | undefined> {
  if (head.toString('latin1', 3, 11) !== 'EXFAT   ') return undefined;
  const sectorSize = 2 ** Math.min(head[108] ?? 9, 12);
  const clusterSize = sectorSize * 2 ** Math.min(head[109] ?? 0, 25);
  const root = head.readUInt32LE(88) * sectorSize + (head.readUInt32LE(96) - 2) * clusterSize;
  const directory = await read(root, 4096);
  let label = '';
  for (let at = 0; at < directory.length; at += 32) {
    if (directory[at] === EXFAT_LABEL) label = utf16(directory, at + 2, 2 * Math.min(directory[at + 1] ?? 0, 11));
  }
  const size = Number(head.readBigUInt64LE(72)) * sectorSize;
  return fileSystem('exFAT', { label, uuid: serialAt(head, 100), size });
}

/** Record of the master file table that describes the volume, and the attribute in it that is the label. */
const VOLUME_RECORD = 3;
const VOLUME_NAME = 0x60;

export async function ntfs({ head, read }: Volume): Promise<FileSystem | undefined> {
  if (head.toString('latin1', 3, 11) !== 'NTFS    ') return undefined;
  const sectorSize = head.readUInt16LE(11);
  const clusterSize = sectorSize * shifted(head.readInt8(13), 1);
  const recordSize = shifted(head.readInt8(64), clusterSize);
  const table = Number(head.readBigUInt64LE(48)) * clusterSize;
  const record = recordSize >= 512 ? await read(table + VOLUME_RECORD * recordSize, recordSize) : Buffer.alloc(512);
  return fileSystem('ntfs', {
    label: nameIn(record),
    uuid: head.readBigUInt64LE(72).toString(16).toUpperCase().padStart(16, '0'),
    size: (Number(head.readBigUInt64LE(40)) + 1) * sectorSize,
  });
}

/** A positive count of units, or a negative power of two in bytes. */
function shifted(value: number, unit: number): number {
  return value >= 0 ? value * unit : 2 ** Math.min(-value, 31);
}

/** The resident attributes of a record, up to the label. It lies before the end of the first sector, which is stored elsewhere. */
function nameIn(record: Buffer): string {
  if (record.toString('latin1', 0, 4) !== 'FILE') return '';
  let at = record.readUInt16LE(20);
  for (let step = 0; step < 32 && at + 24 <= 508; step++) {
    const length = record.readUInt32LE(at + 4);
    if (record.readUInt32LE(at) === VOLUME_NAME) {
      const start = at + record.readUInt16LE(at + 20);
      const end = Math.min(start + Math.min(record.readUInt32LE(at + 16), 256), 508);
      return start < end ? record.toString('utf16le', start, end) : '';
    }
    if (length < 16 || length % 8 !== 0) break;
    at += length;
  }
  return '';
}
