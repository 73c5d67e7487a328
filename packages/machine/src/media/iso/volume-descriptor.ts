import type { Place } from './directory-bytes.js';
import { bothOrders16, bothOrders32, longTime, NO_TIME, SECTOR, shortTime } from './iso-fields.js';

export interface Volume {
  readonly joliet: boolean;
  readonly label: string;
  /** Sectors of the whole image. */
  readonly sectors: number;
  readonly root: Place;
  readonly pathTableLength: number;
  readonly littleTable: number;
  readonly bigTable: number;
  readonly time: number;
}

/** The primary volume descriptor, or Joliet's supplementary one (ECMA-119 §8.4, §8.5). */
export function volumeDescriptor(volume: Volume): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  const text = (value: string, offset: number, length: number) =>
    (volume.joliet ? wide(value, length) : Buffer.from(value.padEnd(length), 'latin1')).copy(bytes, offset);
  bytes[0] = volume.joliet ? 2 : 1;
  bytes.write('CD001', 1, 'latin1');
  bytes[6] = 1;
  text('', 8, 32);
  text(volume.label, 40, 32);
  bothOrders32(bytes, volume.sectors, 80);
  // UCS-2 level 3, the richest that Joliet knows.
  if (volume.joliet) bytes.write('%/E', 88, 'latin1');
  bothOrders16(bytes, 1, 120);
  bothOrders16(bytes, 1, 124);
  bothOrders16(bytes, SECTOR, 128);
  bothOrders32(bytes, volume.pathTableLength, 132);
  bytes.writeUInt32LE(volume.littleTable, 140);
  bytes.writeUInt32BE(volume.bigTable, 148);
  rootRecord(volume).copy(bytes, 156);
  for (const offset of [190, 318, 446, 574]) text('', offset, 128);
  for (const offset of [702, 739, 776]) text('', offset, 37);
  longTime(volume.time).copy(bytes, 813);
  longTime(volume.time).copy(bytes, 830);
  NO_TIME.copy(bytes, 847);
  longTime(volume.time).copy(bytes, 864);
  bytes[881] = 1;
  return bytes;
}

/** What ends the list of descriptors. */
export function descriptorTerminator(): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  bytes[0] = 255;
  bytes.write('CD001', 1, 'latin1');
  bytes[6] = 1;
  return bytes;
}

function rootRecord({ root, time }: Volume): Buffer {
  const bytes = Buffer.alloc(34);
  bytes[0] = 34;
  bothOrders32(bytes, root.sector, 2);
  bothOrders32(bytes, root.length, 10);
  shortTime(time).copy(bytes, 18);
  bytes[25] = 2;
  bothOrders16(bytes, 1, 28);
  bytes[32] = 1;
  return bytes;
}

/** UCS-2, big end first, filled up with spaces; a last odd byte stays zero. */
function wide(value: string, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const text = Buffer.from(value.slice(0, length >> 1).padEnd(length >> 1), 'utf16le').swap16();
  text.copy(bytes);
  return bytes;
}
