import { checksumWithout } from './crc32c.js';
import { writeGuid } from './guid.js';

// Images for tests, made from the format's text byte by byte and not with the writer under test. Not part of the package.

const KiB = 1024;
const MiB = 2 ** 20;

/** Where the parts of a sample are. */
export const AT = {
  header1: 64 * KiB,
  header2: 128 * KiB,
  table1: 192 * KiB,
  table2: 256 * KiB,
  log: 1 * MiB,
  metadata: 2 * MiB,
  /** First bytes of the items: file parameters, disk size, disk id, logical and physical sector size, parent locator. */
  items: 2 * MiB + 64 * KiB,
  bat: 3 * MiB,
  payload: 4 * MiB,
} as const;

/** Offset of a field in an entry of the region table, or of the metadata table. */
export const inRegion = (table: number, index: number, field: number) => table + 16 + 32 * index + field;
export const inItem = (index: number, field: number) => AT.metadata + 32 + 32 * index + field;

export const DATA_WRITE_GUID = '0f8a3d2c-1111-4222-8333-444455556666';
export const LOG_GUID = 'a1b2c3d4-e5f6-4718-92a3-b4c5d6e7f809';

export interface SampleOptions {
  readonly size?: number;
  readonly blockSize?: number;
  readonly logicalSector?: number;
  /** 1: blocks stay allocated (fixed), 2: has a parent. */
  readonly flags?: number;
  /** Entries of the BAT: state, and offset in MiB. */
  readonly bat?: readonly (readonly [state: number, mib: number])[];
  /** Length of the file in MiB. */
  readonly mib?: number;
  readonly locator?: Buffer;
}

/** A disk of 4 MiB in blocks of 1 MiB, of which the second and the first are stored, in this order. */
export function sampleImage(options: SampleOptions = {}): Buffer {
  const { size = 4 * MiB, blockSize = MiB, logicalSector = 512, flags = 0, mib = 6 } = options;
  const bat = options.bat ?? [
    [6, 5],
    [6, 4],
    [0, 0],
    [0, 0],
  ];
  const image = Buffer.alloc(mib * MiB);
  image.write('vhdxfile', 0, 'latin1');
  image.write('sample', 8, 'utf16le');
  for (const [index, at] of [AT.header1, AT.header2].entries()) {
    image.write('head', at, 'latin1');
    image.writeUInt32LE(7 + index, at + 8);
    writeGuid(image, '99999999-1111-4222-8333-444455556666', at + 16);
    writeGuid(image, DATA_WRITE_GUID, at + 32);
    image.writeUInt16LE(1, at + 66);
    image.writeUInt32LE(MiB, at + 68);
    image.writeUInt32LE(AT.log, at + 72);
  }
  for (const at of [AT.table1, AT.table2]) {
    image.write('regi', at, 'latin1');
    image.writeUInt32LE(2, at + 8);
    putRegion(image, at, 0, { guid: '2dc27766-f623-4200-9d64-115e9bfd4a08', offset: AT.bat });
    putRegion(image, at, 1, { guid: '8b7ca206-4790-4b9a-b8fe-575f050f886e', offset: AT.metadata });
  }
  putMetadata(image, { size, blockSize, logicalSector, flags, locator: options.locator });
  bat.forEach(([state, offset], index) => putEntry(image, index, state, offset));
  return sealed(image);
}

export function putRegion(
  image: Buffer,
  table: number,
  index: number,
  region: { readonly guid: string; readonly offset: number; readonly length?: number; readonly required?: number },
): void {
  writeGuid(image, region.guid, inRegion(table, index, 0));
  image.writeBigUInt64LE(BigInt(region.offset), inRegion(table, index, 16));
  image.writeUInt32LE(region.length ?? MiB, inRegion(table, index, 24));
  image.writeUInt32LE(region.required ?? 1, inRegion(table, index, 28));
}

export function putItem(
  image: Buffer,
  index: number,
  item: { readonly guid: string; readonly offset: number; readonly length: number; readonly flags: number },
): void {
  writeGuid(image, item.guid, inItem(index, 0));
  image.writeUInt32LE(item.offset, inItem(index, 16));
  image.writeUInt32LE(item.length, inItem(index, 20));
  image.writeUInt32LE(item.flags, inItem(index, 24));
}

interface SampleDisk {
  readonly size: number;
  readonly blockSize: number;
  readonly logicalSector: number;
  readonly flags: number;
  readonly locator: Buffer | undefined;
}

function putMetadata(image: Buffer, { size, blockSize, logicalSector, flags, locator }: SampleDisk): void {
  image.write('metadata', AT.metadata, 'latin1');
  const start = 64 * KiB;
  const item = (index: number, guid: string, offset: number, length: number, bits: number) =>
    putItem(image, index, { guid, offset: start + offset, length, flags: bits });
  item(0, 'caa16737-fa36-4d43-b3b6-33f0aa44e76b', 0, 8, 4);
  item(1, '2fa54224-cd1b-4876-b211-5dbed83bf4b8', 8, 8, 6);
  item(2, 'beca12ab-b2e6-4523-93ef-c309e000c746', 16, 16, 6);
  item(3, '8141bf1d-a96f-4709-ba47-f233a8faab5f', 32, 4, 6);
  item(4, 'cda348c7-445d-4471-9cc9-e9885251c556', 36, 4, 6);
  if (locator !== undefined) {
    item(5, 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c', 40, locator.length, 4);
    locator.copy(image, AT.items + 40);
  }
  image.writeUInt16LE(locator === undefined ? 5 : 6, AT.metadata + 10);
  image.writeUInt32LE(blockSize, AT.items);
  image.writeUInt32LE(flags, AT.items + 4);
  image.writeBigUInt64LE(BigInt(size), AT.items + 8);
  writeGuid(image, '12345678-9abc-4def-8123-456789abcdef', AT.items + 16);
  image.writeUInt32LE(logicalSector, AT.items + 32);
  image.writeUInt32LE(4096, AT.items + 36);
}

export function putEntry(image: Buffer, index: number, state: number, mib: number): void {
  image.writeBigUInt64LE((BigInt(mib) << 20n) | BigInt(state), AT.bat + index * 8);
}

/** Makes all checksums right again. */
export function sealed(image: Buffer): Buffer {
  for (const at of [AT.header1, AT.header2]) sum(image, at, 4 * KiB);
  for (const at of [AT.table1, AT.table2]) sum(image, at, 64 * KiB);
  return image;
}

function sum(image: Buffer, at: number, length: number): void {
  image.writeUInt32LE(checksumWithout(image.subarray(at, at + length), 4), at + 4);
}

/** A parent locator with the given keys and values. */
export function locatorOf(values: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(values);
  const texts: Buffer[] = [];
  const head = Buffer.alloc(20 + 12 * entries.length);
  writeGuid(head, 'b04aefb7-d19e-4a81-b789-25b8e9445913', 0);
  head.writeUInt16LE(entries.length, 18);
  let end = head.length;
  entries.forEach((pair, index) => {
    pair.forEach((text, part) => {
      const bytes = Buffer.from(text, 'utf16le');
      head.writeUInt32LE(end, 20 + 12 * index + 4 * part);
      head.writeUInt16LE(bytes.length, 20 + 12 * index + 8 + 2 * part);
      texts.push(bytes);
      end += bytes.length;
    });
  });
  return Buffer.concat([head, ...texts]);
}

export type SampleChange =
  | { readonly offset: number | bigint; readonly page: Buffer }
  | { readonly offset: number | bigint; readonly zeros: number | bigint };

export interface SampleEntry {
  readonly sequence: number;
  /** Positions within the log. */
  readonly position: number;
  readonly tail: number;
  readonly changes: readonly SampleChange[];
  readonly flushed?: number | bigint;
  readonly last?: number | bigint;
  readonly guid?: string;
}

/** Makes the log dirty with these entries. */
export function withLog(image: Buffer, entries: readonly SampleEntry[]): Buffer {
  for (const at of [AT.header1, AT.header2]) writeGuid(image, LOG_GUID, at + 48);
  for (const entry of entries) {
    const bytes = encodeEntry(entry, image.length);
    for (let at = 0; at < bytes.length; at += 4 * KiB)
      bytes.copy(image, AT.log + ((entry.position + at) % MiB), at, at + 4 * KiB);
  }
  return sealed(image);
}

/** An entry of the log: header and descriptors, then a sector for each page. */
export function encodeEntry(
  { sequence, tail, changes, flushed, last, guid = LOG_GUID }: SampleEntry,
  fileSize: number,
): Buffer {
  const head = Math.ceil((64 + 32 * changes.length) / 4096) * 4096;
  const pages = changes.filter((change) => 'page' in change);
  const bytes = Buffer.alloc(head + 4096 * pages.length);
  bytes.write('loge', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length, 8);
  bytes.writeUInt32LE(tail, 12);
  bytes.writeBigUInt64LE(BigInt(sequence), 16);
  bytes.writeUInt32LE(changes.length, 24);
  writeGuid(bytes, guid, 32);
  bytes.writeBigUInt64LE(BigInt(flushed ?? fileSize), 48);
  bytes.writeBigUInt64LE(BigInt(last ?? fileSize), 56);
  let sector = head;
  changes.forEach((change, index) => {
    const at = 64 + 32 * index;
    bytes.writeBigUInt64LE(BigInt(change.offset), at + 16);
    bytes.writeBigUInt64LE(BigInt(sequence), at + 24);
    if ('zeros' in change) {
      bytes.write('zero', at, 'latin1');
      bytes.writeBigUInt64LE(BigInt(change.zeros), at + 8);
      return;
    }
    bytes.write('desc', at, 'latin1');
    change.page.copy(bytes, at + 4, 4092, 4096);
    change.page.copy(bytes, at + 8, 0, 8);
    bytes.write('data', sector, 'latin1');
    bytes.writeUInt32LE(Math.floor(sequence / 2 ** 32), sector + 4);
    change.page.copy(bytes, sector + 8, 8, 4092);
    bytes.writeUInt32LE(sequence >>> 0, sector + 4092);
    sector += 4096;
  });
  bytes.writeUInt32LE(checksumWithout(bytes, 4), 4);
  return bytes;
}
