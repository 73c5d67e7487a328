import { type FileSystem, fileSystem, text, uuidAt, type Volume } from './superblock.js';

/** Encrypted: version 1 and 2 have their identity at the same place. */
export function luks({ head }: Volume): FileSystem | undefined {
  if (head.toString('latin1', 0, 6) !== 'LUKS\xba\xbe') return undefined;
  const version = head.readUInt16BE(6);
  return fileSystem(`LUKS${version}`, { label: version === 2 ? text(head, 24, 48) : '', uuid: text(head, 168, 40) });
}

/** A physical volume has its label in one of the first four sectors. */
export function lvm({ head }: Volume): FileSystem | undefined {
  for (let at = 0; at < 4 * 512; at += 512) {
    if (head.toString('latin1', at, at + 8) !== 'LABELONE' || head.toString('latin1', at + 24, at + 32) !== 'LVM2 001')
      continue;
    const header = at + Math.min(head.readUInt32LE(at + 20), 480);
    const id = head.toString('latin1', header, header + 32);
    const uuid = id.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/, '$1-$2-$3-$4-$5-$6-$7');
    return fileSystem('LVM2', {
      ...(/^[\w-]+$/.test(uuid) ? { uuid } : {}),
      size: Number(head.readBigUInt64LE(header + 32)),
    });
  }
  return undefined;
}

/** Version 1.1 at the start, 1.2 behind 4 KiB; older ones are at the end. */
export function raid({ head }: Volume): FileSystem | undefined {
  const at = [0, 4096].find(
    (offset) => head.readUInt32LE(offset) === 0xa92b4efc && head.readUInt32LE(offset + 4) === 1,
  );
  if (at === undefined) return undefined;
  return fileSystem('Linux RAID', { label: text(head, at + 32, 32), uuid: uuidAt(head, at + 16) });
}

export function bitlocker({ head }: Volume): FileSystem | undefined {
  return head.toString('latin1', 3, 11) === '-FVE-FS-' ? fileSystem('BitLocker') : undefined;
}

/** The primary volume descriptor (ECMA-119 §8.4); both byte orders are there, the little-endian one first. */
export function iso9660({ head }: Volume): FileSystem | undefined {
  const block = head.subarray(16 * 2048);
  const mark = block.toString('latin1', 1, 6);
  if (mark === 'BEA01') return fileSystem('UDF');
  if (mark !== 'CD001' || block[0] !== 1) return undefined;
  const size = block.readUInt32LE(80) * block.readUInt16LE(128);
  return fileSystem('ISO 9660', { label: block.toString('latin1', 40, 72), size });
}

export function hfs({ head }: Volume): FileSystem | undefined {
  const mark = head.toString('latin1', 1024, 1026);
  if (mark !== 'H+' && mark !== 'HX') return undefined;
  const version = head.readUInt16BE(1026);
  if (version !== 4 && version !== 5) return undefined;
  return fileSystem('HFS+', { size: head.readUInt32BE(1024 + 40) * head.readUInt32BE(1024 + 44) });
}

export function apfs({ head }: Volume): FileSystem | undefined {
  if (head.toString('latin1', 32, 36) !== 'NXSB') return undefined;
  const size = head.readUInt32LE(36) * Number(head.readBigUInt64LE(40));
  return fileSystem('APFS', { uuid: uuidAt(head, 72), size });
}
