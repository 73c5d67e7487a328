import { checksumWithout } from './crc32c.js';
import { writeGuid } from './guid.js';
import {
  FILE_FLAG,
  HEADER,
  IDENTIFIER,
  ITEM,
  ITEMS,
  METADATA_TABLE,
  MIB,
  PLACE,
  REGION,
  REGION_GUID,
  REGION_TABLE,
} from './layout.js';

/** The maker's name. No version in it: a newer release must not give other bytes for the same disk. */
const CREATOR = 'polyvisor';

export interface Region {
  readonly offset: number;
  readonly length: number;
}

/** What the metadata says about a disk. */
export interface DiskFacts {
  readonly size: number;
  readonly blockSize: number;
  readonly fixed: boolean;
  readonly logicalSector: number;
  readonly physicalSector: number;
  readonly diskId: string;
}

/** Where things are, and the two GUIDs by which Hyper-V knows that a file was changed. */
export interface FileFacts {
  readonly log: Region;
  readonly metadata: Region;
  readonly bat: Region;
  readonly fileWriteGuid: string;
  readonly dataWriteGuid: string;
}

/** The first MiB: identifier, both headers, both region tables. */
export function encodeFirstMib(facts: FileFacts): Buffer {
  const bytes = Buffer.alloc(MIB);
  bytes.write(IDENTIFIER.magic, 0, 'latin1');
  bytes.write(CREATOR, IDENTIFIER.creator, 'utf16le');
  PLACE.headers.forEach((at, index) => encodeHeader(facts, index + 1).copy(bytes, at));
  for (const at of PLACE.regionTables) encodeRegionTable(facts).copy(bytes, at);
  return bytes;
}

function encodeHeader({ log, fileWriteGuid, dataWriteGuid }: FileFacts, sequence: number): Buffer {
  const header = Buffer.alloc(HEADER.size);
  header.write(HEADER.magic, 0, 'latin1');
  header.writeBigUInt64LE(BigInt(sequence), HEADER.sequence);
  writeGuid(header, fileWriteGuid, HEADER.fileWriteGuid);
  writeGuid(header, dataWriteGuid, HEADER.dataWriteGuid);
  // The log's GUID stays null: nothing is to be replayed.
  header.writeUInt16LE(0, HEADER.logVersion);
  header.writeUInt16LE(1, HEADER.version);
  header.writeUInt32LE(log.length, HEADER.logLength);
  header.writeBigUInt64LE(BigInt(log.offset), HEADER.logOffset);
  header.writeUInt32LE(checksumWithout(header, HEADER.checksum), HEADER.checksum);
  return header;
}

function encodeRegionTable({ bat, metadata }: FileFacts): Buffer {
  const table = Buffer.alloc(REGION_TABLE.size);
  table.write(REGION_TABLE.magic, 0, 'latin1');
  const regions = [
    [REGION_GUID.bat, bat],
    [REGION_GUID.metadata, metadata],
  ] as const;
  table.writeUInt32LE(regions.length, REGION_TABLE.count);
  regions.forEach(([guid, { offset, length }], index) => {
    const entry = table.subarray(REGION_TABLE.entries + index * REGION_TABLE.entrySize);
    writeGuid(entry, guid, REGION.guid);
    entry.writeBigUInt64LE(BigInt(offset), REGION.offset);
    entry.writeUInt32LE(length, REGION.length);
    entry.writeUInt32LE(REGION.required, REGION.flags);
  });
  table.writeUInt32LE(checksumWithout(table, REGION_TABLE.checksum), REGION_TABLE.checksum);
  return table;
}

/** The used part of the metadata region; the rest of it is zero. */
export function encodeMetadata(facts: DiskFacts): Buffer {
  const values = encodeItems(facts);
  const bytes = Buffer.alloc(METADATA_TABLE.size + values.reduce((sum, { value }) => sum + value.length, 0));
  bytes.write(METADATA_TABLE.magic, 0, 'latin1');
  bytes.writeUInt16LE(values.length, METADATA_TABLE.count);
  let end: number = METADATA_TABLE.size;
  values.forEach(({ item, value }, index) => {
    const entry = bytes.subarray(METADATA_TABLE.entries + index * METADATA_TABLE.entrySize);
    writeGuid(entry, item.guid, ITEM.guid);
    entry.writeUInt32LE(end, ITEM.offset);
    entry.writeUInt32LE(value.length, ITEM.length);
    entry.writeUInt32LE(item.flags, ITEM.flags);
    value.copy(bytes, end);
    end += value.length;
  });
  return bytes;
}

function encodeItems({ size, blockSize, fixed, logicalSector, physicalSector, diskId }: DiskFacts) {
  const words = (...numbers: number[]) => Buffer.from(Uint32Array.from(numbers).buffer);
  const diskSize = Buffer.alloc(ITEMS.diskSize.length);
  diskSize.writeBigUInt64LE(BigInt(size));
  const id = Buffer.alloc(ITEMS.diskId.length);
  writeGuid(id, diskId, 0);
  return [
    { item: ITEMS.fileParameters, value: words(blockSize, fixed ? FILE_FLAG.leaveBlocksAllocated : 0) },
    { item: ITEMS.diskSize, value: diskSize },
    { item: ITEMS.diskId, value: id },
    { item: ITEMS.logicalSector, value: words(logicalSector) },
    { item: ITEMS.physicalSector, value: words(physicalSector) },
  ];
}
