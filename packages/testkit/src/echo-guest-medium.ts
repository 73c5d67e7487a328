import { echoGuest } from './echo-guest.js';

const SECTOR = 2048;
/** Where things are on the medium, in sectors: what ECMA-119 §6.2 wants first, then ours. */
const PLACES = { description: 16, bootRecord: 17, end: 18, root: 19, catalog: 20, guest: 21, sectors: 22 } as const;

/** A CD that starts the echo guest, named `media`: El Torito without emulation, on a file system that holds nothing. */
export function echoGuestMedium(): Buffer {
  const medium = Buffer.alloc(PLACES.sectors * SECTOR);
  const at = (sector: number) => medium.subarray(sector * SECTOR, (sector + 1) * SECTOR);
  writeDescription(at(PLACES.description));
  writeHeader(at(PLACES.bootRecord), 0);
  at(PLACES.bootRecord).write('EL TORITO SPECIFICATION', 7, 'latin1');
  at(PLACES.bootRecord).writeUInt32LE(PLACES.catalog, 71);
  writeHeader(at(PLACES.end), 255);
  directory('\0').copy(at(PLACES.root));
  directory('\x01').copy(at(PLACES.root), 34);
  writeCatalog(at(PLACES.catalog));
  echoGuest('media').copy(at(PLACES.guest));
  return medium;
}

function writeHeader(sector: Buffer, type: number): void {
  sector[0] = type;
  sector.write('CD001\x01', 1, 'latin1');
}

/** The primary volume descriptor, ECMA-119 §8.4. Numbers stand there twice, in both byte orders. */
function writeDescription(sector: Buffer): void {
  writeHeader(sector, 1);
  sector.fill(0x20, 8, 72).write('ECHO', 40, 'latin1');
  sector.set(both32(PLACES.sectors), 80);
  for (const [offset, value] of [[120, 1], [124, 1], [128, SECTOR]] as const) sector.set(both16(value), offset); // prettier-ignore
  directory('\0').copy(sector, 156);
  sector.fill(0x20, 190, 813);
  sector[881] = 1;
}

/** A record of the root directory, under the name that stands for itself or for its parent, ECMA-119 §9.1. */
function directory(name: string): Buffer {
  const record = Buffer.alloc(34);
  record[0] = record.length;
  record.set(both32(PLACES.root), 2);
  record.set(both32(SECTOR), 10);
  record[25] = 2; // it is a directory
  record.set(both16(1), 28);
  record[32] = 1;
  record.write(name, 33, 'latin1');
  return record;
}

/** El Torito §2: a validation entry whose 16-bit words add up to zero, and the entry that is started. */
function writeCatalog(sector: Buffer): void {
  sector.set([1, 0], 0);
  sector.set([0x55, 0xaa], 30);
  sector.writeUInt16LE((0x10000 - 0x0001 - 0xaa55) & 0xffff, 28);
  sector[32] = 0x88; // bootable, no emulation, loaded to 0x7c00
  sector.writeUInt16LE(SECTOR / 512, 38);
  sector.writeUInt32LE(PLACES.guest, 40);
}

const both32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value, 0);
  bytes.writeUInt32BE(value, 4);
  return bytes;
};

const both16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(value, 0);
  bytes.writeUInt16BE(value, 2);
  return bytes;
};
