import { crc32 } from 'node:zlib';
import type { DiskSource, Firmware } from '@polyvisor/core';

/** One entry of a partition table. Positions in bytes. */
export interface Partition {
  /** As the guest counts them, from 1; logical partitions of an MBR from 5. */
  readonly number: number;
  readonly start: number;
  readonly size: number;
  /** What the table says it is for, in words where the type is well known. */
  readonly type: string;
  /** Of a GPT; empty elsewhere. */
  readonly name: string;
  /** Whether the table marks it for booting. */
  readonly boot: boolean;
  /** Unique identity of the entry; absent in an MBR. */
  readonly uuid?: string;
}

/** Something wrong with a table; the entries are shown as they are. */
export interface TableProblem {
  readonly kind: 'outside' | 'checksum' | 'backup' | 'shortened' | 'invalid';
  readonly message: string;
}

export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr' | 'none';
  readonly partitions: readonly Partition[];
  /** The disk's identity: its GUID, or the signature of an MBR as eight digits; absent where there is none. */
  readonly identity?: string;
  /** Bytes that one address of the table stands for: 512, or 4096 on disks with such sectors. */
  readonly sectorSize: number;
  readonly problems: readonly TableProblem[];
}

const SECTOR = 512;

/** Sectors of a disk with a GPT: the header lies in the second of them. */
const SECTOR_SIZES = [512, 4096];

/** UEFI specification 2.10, §5.3.3: at least 128 bytes an entry; usual are 128 entries. More than these is nonsense. */
const MAX_ENTRIES = 1024;
const MAX_ENTRY_SIZE = 4096;

/** Logical partitions form a chain, which a hostile disk can close to a ring. */
const MAX_LOGICAL = 128;

const EFI_SYSTEM = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';

/** Types that a person would rather read as words: UEFI §5.3.3 and the Discoverable Partitions Specification. */
const GPT_TYPES: Readonly<Record<string, string>> = {
  [EFI_SYSTEM]: 'EFI system',
  '21686148-6449-6e6f-744e-656564454649': 'BIOS boot',
  '0fc63daf-8483-4772-8e79-3d69d8477de4': 'Linux file system',
  '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f': 'Linux swap',
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709': 'Linux root (x86-64)',
  'b921b045-1df0-41c3-af44-4c6f280d3fae': 'Linux root (ARM 64)',
  'e6d6d379-f507-44c2-a23c-238f2a3df928': 'Linux LVM',
  'a19d880f-05fc-4d3b-a006-743f0f84911e': 'Linux RAID',
  'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7': 'Microsoft basic data',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae': 'Microsoft reserved',
};

const MBR_TYPES: Readonly<Record<number, string>> = {
  0x07: 'NTFS or exFAT',
  0x0b: 'FAT32',
  0x0c: 'FAT32',
  0x82: 'Linux swap',
  0x83: 'Linux',
  0x8e: 'Linux LVM',
  0xee: 'GPT protective',
  0xef: 'EFI system',
  0xfd: 'Linux RAID',
};

/** Reads a disk's partition table. Nothing in it is trusted: all counts are bounded, and no entry is followed off the disk. */
export async function readPartitions(disk: DiskSource): Promise<PartitionTable> {
  const none = { kind: 'none', partitions: [], sectorSize: SECTOR, problems: [] } as const;
  const first = await readSector(disk, 0);
  if (first === undefined || first.readUInt16LE(510) !== 0xaa55 || !hasBootFlags(first)) return none;
  const entries = mbrEntries(first);
  if (entries.some(({ type }) => type === 0xee)) return readGpt(disk);
  const partitions: Partition[] = [];
  for (const { number, type, start, size, active } of entries) {
    partitions.push(mbrPartition(number, type, start, size, active));
    if ([0x05, 0x0f, 0x85].includes(type)) partitions.push(...(await readLogical(disk, start)));
  }
  const signature = first.readUInt32LE(440);
  return {
    kind: 'mbr',
    partitions,
    ...(signature === 0 ? {} : { identity: signature.toString(16).padStart(8, '0') }),
    sectorSize: SECTOR,
    problems: partitions.flatMap((one) => outside(one, disk)),
  };
}

/** Each entry of an MBR begins with 0 or 0x80. In the boot sector of a file system there is text instead. */
function hasBootFlags(sector: Buffer): boolean {
  return [0, 1, 2, 3].every((index) => ((sector[446 + 16 * index] ?? 0) & 0x7f) === 0);
}

/** What a disk looks like it boots under: an EFI system partition for UEFI, code in its first sector for BIOS. */
export async function firmwareOf(disk: DiskSource): Promise<readonly Firmware[]> {
  const { partitions } = await readPartitions(disk);
  const firmware: Firmware[] = [];
  if (await bootCodeOf(disk)) firmware.push('bios');
  if (partitions.some(({ type }) => type === 'EFI system')) firmware.push('uefi');
  return firmware.length > 0 ? firmware : ['bios', 'uefi'];
}

/** Whether there is anything in bytes 0 to 439 of a disk, which are the boot loader's. */
export async function bootCodeOf(disk: DiskSource): Promise<boolean> {
  const first = await readSector(disk, 0);
  return first?.subarray(0, 440).some((byte) => byte !== 0) === true;
}

async function readSector(disk: DiskSource, offset: number): Promise<Buffer | undefined> {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + SECTOR > disk.size) return undefined;
  const sector = Buffer.alloc(SECTOR);
  await disk.read(sector, offset);
  return sector;
}

function mbrEntries(sector: Buffer) {
  return [0, 1, 2, 3]
    .map((index) => {
      const at = 446 + 16 * index;
      return {
        number: index + 1,
        active: sector[at] === 0x80,
        type: sector[at + 4] ?? 0,
        start: sector.readUInt32LE(at + 8) * SECTOR,
        size: sector.readUInt32LE(at + 12) * SECTOR,
      };
    })
    .filter(({ type, size }) => type !== 0 && size > 0);
}

function mbrPartition(number: number, type: number, start: number, size: number, active: boolean): Partition {
  const word = [0x05, 0x0f, 0x85].includes(type) ? 'extended' : MBR_TYPES[type];
  return { number, start, size, type: word ?? `0x${type.toString(16).padStart(2, '0')}`, name: '', boot: active };
}

async function readLogical(disk: DiskSource, extended: number): Promise<Partition[]> {
  const found: Partition[] = [];
  let at = extended;
  while (found.length < MAX_LOGICAL) {
    const sector = await readSector(disk, at);
    if (sector === undefined || sector.readUInt16LE(510) !== 0xaa55) break;
    const [first, next] = mbrEntries(sector);
    if (first === undefined) break;
    found.push(mbrPartition(5 + found.length, first.type, at + first.start, first.size, first.active));
    if (next === undefined || extended + next.start <= at) break; // a chain only goes forward
    at = extended + next.start;
  }
  return found;
}

async function readGpt(disk: DiskSource): Promise<PartitionTable> {
  for (const sectorSize of SECTOR_SIZES) {
    const header = await readSector(disk, sectorSize);
    if (header?.toString('latin1', 0, 8) === 'EFI PART') return readGptBehind(disk, header, sectorSize);
  }
  const message = 'the protective MBR has no GPT header behind it';
  return { kind: 'gpt', partitions: [], sectorSize: SECTOR, problems: [{ kind: 'invalid', message }] };
}

async function readGptBehind(disk: DiskSource, header: Buffer, sectorSize: number): Promise<PartitionTable> {
  const problems: TableProblem[] = [];
  const headerSize = header.readUInt32LE(12);
  if (headerSize < 92 || headerSize > SECTOR || !hasCrc(header.subarray(0, headerSize))) {
    problems.push({ kind: 'checksum', message: 'the checksum of the GPT header is wrong' });
  }
  const backup = await problemOfBackup(disk, Number(header.readBigUInt64LE(32)), sectorSize);
  if (backup !== undefined) problems.push(backup);
  const facts = { kind: 'gpt', identity: guid(header.subarray(56, 72)), sectorSize } as const;
  const entriesAt = Number(header.readBigUInt64LE(72)) * sectorSize;
  const count = header.readUInt32LE(80);
  const entrySize = header.readUInt32LE(84);
  const length = count * entrySize;
  if (count > MAX_ENTRIES || entrySize < 128 || entrySize > MAX_ENTRY_SIZE || !(entriesAt + length <= disk.size)) {
    const message = `the GPT claims ${count} entries of ${entrySize} bytes at ${entriesAt}`;
    return { ...facts, partitions: [], problems: [...problems, { kind: 'invalid', message }] };
  }
  const entries = Buffer.alloc(length);
  await disk.read(entries, entriesAt);
  if (crc32(entries) !== header.readUInt32LE(88)) {
    problems.push({ kind: 'checksum', message: 'the checksum of the GPT entries is wrong' });
  }
  const partitions: Partition[] = [];
  for (let index = 0; index < count; index++) {
    const entry = entries.subarray(index * entrySize, (index + 1) * entrySize);
    const type = guid(entry);
    if (/^[0-]+$/.test(type)) continue;
    const start = Number(entry.readBigUInt64LE(32)) * sectorSize;
    partitions.push({
      number: index + 1,
      start,
      size: Number(entry.readBigUInt64LE(40)) * sectorSize + sectorSize - start,
      type: GPT_TYPES[type] ?? type,
      name: printable(entry.toString('utf16le', 56, 128).replace(/\0[^]*$/, '')),
      boot: (entry.readUInt32LE(48) & 4) !== 0, // attribute bit 2: legacy BIOS bootable
      uuid: guid(entry.subarray(16, 32)),
    });
  }
  return { ...facts, partitions, problems: [...problems, ...partitions.flatMap((one) => outside(one, disk))] };
}

/** The copy of the header belongs into the last sector (UEFI §5.3.2); a disk that was enlarged or cut off has it elsewhere. */
async function problemOfBackup(
  disk: DiskSource,
  address: number,
  sectorSize: number,
): Promise<TableProblem | undefined> {
  const last = Math.floor(disk.size / sectorSize) - 1;
  const place = `sector ${address} of ${last + 1}`;
  if (address > last)
    return { kind: 'shortened', message: `the backup GPT would lie behind the end of the disk (${place})` };
  const header = await readSector(disk, address * sectorSize);
  if (header?.toString('latin1', 0, 8) !== 'EFI PART')
    return { kind: 'backup', message: `there is no backup GPT where it should be (${place})` };
  return address === last
    ? undefined
    : {
        kind: 'backup',
        message: `the backup GPT does not lie at the end of the disk (${place}): the disk was enlarged`,
      };
}

function hasCrc(header: Buffer): boolean {
  const copy = Buffer.from(header);
  copy.writeUInt32LE(0, 16);
  return crc32(copy) === header.readUInt32LE(16);
}

/** A GUID as people write it: its first three fields are little-endian. */
function guid(bytes: Buffer): string {
  const hex = (from: number, to: number) => bytes.toString('hex', from, to);
  const turned = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).reverse().toString('hex');
  return `${turned(0, 4)}-${turned(4, 6)}-${turned(6, 8)}-${hex(8, 10)}-${hex(10, 16)}`;
}

function outside({ number, start, size }: Partition, disk: DiskSource): TableProblem[] {
  if (size > 0 && start + size <= disk.size) return [];
  const end = size > 0 ? `it ends at byte ${start + size} of ${disk.size}` : 'it ends before it starts';
  return [{ kind: 'outside', message: `partition ${number} does not lie on the disk: ${end}` }];
}

/** Names come from the disk; control characters could do things to a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?');
}
