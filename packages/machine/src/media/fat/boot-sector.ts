import { type FatGeometry, SECTOR } from './fat-geometry.js';

/** A fixed disk; the first byte of the tables repeats it. */
export const MEDIA_DESCRIPTOR = 0xf8;

/** The first sector: how the file system is divided. There is nothing to boot. */
export function bootSector(geometry: FatGeometry, label: Buffer, serial: Uint8Array): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  // Jumps over the parameters, to an endless loop. Readers look for the jump.
  bytes.set([0xeb, 0x3c, 0x90]);
  bytes.set([0xeb, 0xfe], 0x3e);
  bytes.write('MSDOS5.0', 3, 'latin1'); // some readers know no other name
  bytes.writeUInt16LE(SECTOR, 11);
  bytes[13] = geometry.sectorsPerCluster;
  bytes.writeUInt16LE(geometry.reserved, 14);
  bytes[16] = geometry.tables;
  bytes.writeUInt16LE(geometry.rootEntries, 17);
  const small = geometry.total < 65_536;
  bytes.writeUInt16LE(small ? geometry.total : 0, 19);
  bytes[21] = MEDIA_DESCRIPTOR;
  bytes.writeUInt16LE(geometry.tableLength, 22);
  // Sectors of a track and heads, for those who still count in them.
  bytes.writeUInt16LE(geometry.total === 2880 ? 18 : 32, 24);
  bytes.writeUInt16LE(geometry.total === 2880 ? 2 : 64, 26);
  bytes.writeUInt32LE(small ? 0 : geometry.total, 32);
  bytes[36] = 0x80;
  bytes[38] = 0x29; // the three next fields are there
  bytes.set(serial.subarray(0, 4), 39);
  label.copy(bytes, 43);
  bytes.write(geometry.bits === 12 ? 'FAT12   ' : 'FAT16   ', 54, 'latin1');
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}
