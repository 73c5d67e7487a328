import { crc32 } from 'node:zlib';

/**
 * A GUID partition table as UEFI 2.10 §5 has it, with its protective MBR. Positions are in sectors of 512 bytes.
 */
export interface GptPartition {
  /** Position in the table, from 1; need not follow the order on disk. */
  readonly number: number;
  readonly type: string;
  readonly guid: string;
  readonly firstSector: number;
  /** Inclusive. */
  readonly lastSector: number;
  /** At most 36 UTF-16 units. */
  readonly name: string;
}

export interface Gpt {
  /** The first 34 sectors: protective MBR (boot code included), header, table. */
  readonly head: Uint8Array;
  /** The last 33 sectors: table, header. */
  readonly tail: Uint8Array;
}

/** Types from UEFI 2.10 table 5.7, GRUB's manual ("BIOS installation") and the UAPI group's partition specification. */
export const PARTITION_TYPE = {
  biosBoot: '21686148-6449-6e6f-744e-656564454649',
  efiSystem: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  /** Root of an x86-64 system: what systemd-repart grows. */
  rootX86: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
  linux: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  swap: '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f',
} as const;

const SECTOR = 512;
const ENTRIES = 128;
const ENTRY_BYTES = 128;
const TABLE_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR;
const HEADER_BYTES = 92;
/** The MBR's table starts here; before it are boot code and the disk's signature. */
const MBR_TABLE = 446;

/** Sectors at either end of a disk that belong to the table: 34 at the start, 33 at the end. */
export const GPT_HEAD_SECTORS = 2 + TABLE_SECTORS;
export const GPT_TAIL_SECTORS = 1 + TABLE_SECTORS;

/** `sectors` is the whole disk; `bootCode` fills the first 440 bytes of the MBR. */
export function writeGpt(
  sectors: number,
  diskGuid: string,
  partitions: readonly GptPartition[],
  bootCode: Uint8Array = new Uint8Array(),
): Gpt {
  const table = new Uint8Array(TABLE_SECTORS * SECTOR);
  for (const partition of partitions) table.set(entry(partition), (partition.number - 1) * ENTRY_BYTES);
  const tableCrc = crc32(table);
  const common = { sectors, diskGuid, tableCrc };

  const head = new Uint8Array(GPT_HEAD_SECTORS * SECTOR);
  head.set(protectiveMbr(sectors, bootCode), 0);
  head.set(header({ ...common, own: 1, other: sectors - 1, table: 2 }), SECTOR);
  head.set(table, 2 * SECTOR);

  const tail = new Uint8Array(GPT_TAIL_SECTORS * SECTOR);
  tail.set(table, 0);
  tail.set(
    header({ ...common, own: sectors - 1, other: 1, table: sectors - GPT_TAIL_SECTORS }),
    TABLE_SECTORS * SECTOR,
  );
  return { head, tail };
}

/** One partition of type EE over the whole disk (UEFI 2.10 §5.2.3), as far as 32 bits reach. */
function protectiveMbr(sectors: number, bootCode: Uint8Array): Uint8Array {
  const mbr = new Uint8Array(SECTOR);
  mbr.set(bootCode.subarray(0, 440), 0);
  const view = new DataView(mbr.buffer);
  mbr.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], MBR_TABLE);
  view.setUint32(MBR_TABLE + 8, 1, true);
  view.setUint32(MBR_TABLE + 12, Math.min(sectors - 1, 0xffff_ffff), true);
  view.setUint16(510, 0xaa55, true);
  return mbr;
}

interface HeaderFields {
  readonly sectors: number;
  readonly diskGuid: string;
  readonly tableCrc: number;
  readonly own: number;
  readonly other: number;
  readonly table: number;
}

/** UEFI 2.10 table 5.5. */
function header({ sectors, diskGuid, tableCrc, own, other, table }: HeaderFields): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('EFI PART'), 0);
  view.setUint32(8, 0x0001_0000, true);
  view.setUint32(12, HEADER_BYTES, true);
  view.setBigUint64(24, BigInt(own), true);
  view.setBigUint64(32, BigInt(other), true);
  view.setBigUint64(40, BigInt(GPT_HEAD_SECTORS), true); // first sector that partitions may use
  view.setBigUint64(48, BigInt(sectors - GPT_TAIL_SECTORS - 1), true); // and the last one
  bytes.set(guidBytes(diskGuid), 56);
  view.setBigUint64(72, BigInt(table), true);
  view.setUint32(80, ENTRIES, true);
  view.setUint32(84, ENTRY_BYTES, true);
  view.setUint32(88, tableCrc, true);
  view.setUint32(16, crc32(bytes.subarray(0, HEADER_BYTES)), true); // computed with its own field zero
  return bytes;
}

/** UEFI 2.10 table 5.6. */
function entry({ type, guid, firstSector, lastSector, name }: GptPartition): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(guidBytes(type), 0);
  bytes.set(guidBytes(guid), 16);
  view.setBigUint64(32, BigInt(firstSector), true);
  view.setBigUint64(40, BigInt(lastSector), true);
  bytes.set(Buffer.from(name.slice(0, 36), 'utf16le'), 56);
  return bytes;
}

/** On disk the first three groups of a GUID are little-endian, the other two are as written (UEFI 2.10 appendix A). */
export function guidBytes(guid: string): Uint8Array {
  const bytes = Buffer.from(guid.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return new Uint8Array(bytes);
}
