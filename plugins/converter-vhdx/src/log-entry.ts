import { checksumWithout, crc32c } from './crc32c.js';
import { DATA_SECTOR, DESCRIPTOR, LOG_ENTRY, LOG_SECTOR } from './layout.js';
import type { LogRing } from './log-ring.js';

/** Bytes of an entry that are in memory at once. */
const PIECE = 256 * 1024;

/** The head of a valid log entry. */
export interface LogEntry {
  /** Of its first byte in the ring. */
  readonly position: number;
  readonly length: number;
  /** Position of the oldest entry that may not have reached its place in the file. */
  readonly tail: number;
  readonly sequence: bigint;
  readonly descriptors: number;
  readonly flushedFileOffset: bigint;
  readonly lastFileOffset: bigint;
}

/** One change: `zero` makes a range zero, `data` replaces a page by bytes from the log. */
export type Descriptor =
  | { readonly kind: 'zero'; readonly offset: bigint; readonly length: bigint }
  | {
      readonly kind: 'data';
      readonly offset: bigint;
      /** The first eight and the last four bytes of the page, which its data sector has no room for. */
      readonly leading: bigint;
      readonly trailing: number;
    };

/** Decodes the head of an entry by what can be told without reading the rest; undefined when it cannot be one. */
export function decodeEntry(sector: Buffer, position: number, ringLength: number): LogEntry | undefined {
  const length = sector.readUInt32LE(LOG_ENTRY.length);
  const tail = sector.readUInt32LE(LOG_ENTRY.tail);
  const sequence = sector.readBigUInt64LE(LOG_ENTRY.sequence);
  const descriptors = sector.readUInt32LE(LOG_ENTRY.descriptors);
  if (length < LOG_SECTOR || length % LOG_SECTOR !== 0 || length > ringLength) return undefined;
  if (tail % LOG_SECTOR !== 0 || tail >= ringLength || sequence === 0n) return undefined;
  if (headLength(descriptors) > length) return undefined;
  return {
    position,
    length,
    tail,
    sequence,
    descriptors,
    flushedFileOffset: sector.readBigUInt64LE(LOG_ENTRY.flushedFileOffset),
    lastFileOffset: sector.readBigUInt64LE(LOG_ENTRY.lastFileOffset),
  };
}

/** Bytes of an entry before its data sectors: its header and the descriptors, in whole sectors. */
export function headLength(descriptors: number): number {
  return Math.ceil((LOG_ENTRY.size + descriptors * DESCRIPTOR.size) / LOG_SECTOR) * LOG_SECTOR;
}

/** Whether descriptors, data sectors and checksum are as they must be ([MS-VHDX] 2.3.1): a torn write is found here. */
export async function isIntact(ring: LogRing, entry: LogEntry): Promise<boolean> {
  let sectors = 0;
  try {
    for await (const { kind } of readDescriptors(ring, entry)) if (kind === 'data') sectors++;
  } catch (error) {
    if (error instanceof InvalidDescriptor) return false;
    throw error;
  }
  const dataStart = headLength(entry.descriptors);
  const dataEnd = dataStart + sectors * LOG_SECTOR;
  if (dataEnd > entry.length) return false;
  let sum = 0;
  let stored = 0;
  for (let at = 0; at < entry.length; at += PIECE) {
    const piece = await ring.read(entry.position + at, Math.min(PIECE, entry.length - at));
    if (at === 0) stored = piece.readUInt32LE(LOG_ENTRY.checksum);
    sum = at === 0 ? checksumWithout(piece, LOG_ENTRY.checksum) : crc32c(piece, sum);
    for (let sector = Math.max(at, dataStart); sector < Math.min(at + PIECE, dataEnd); sector += LOG_SECTOR) {
      if (!isDataSector(piece.subarray(sector - at), entry.sequence)) return false;
    }
  }
  return sum === stored;
}

function isDataSector(sector: Buffer, sequence: bigint): boolean {
  const high = BigInt(sector.readUInt32LE(DATA_SECTOR.sequenceHigh));
  const low = BigInt(sector.readUInt32LE(DATA_SECTOR.sequenceLow));
  return sector.toString('latin1', 0, 4) === DATA_SECTOR.magic && ((high << 32n) | low) === sequence;
}

class InvalidDescriptor extends Error {}

/** The descriptors of an entry, in their order. Rejects when one is invalid, which an intact entry has not. */
export async function* readDescriptors(ring: LogRing, entry: LogEntry): AsyncGenerator<Descriptor> {
  const end = LOG_ENTRY.size + entry.descriptors * DESCRIPTOR.size;
  for (let start = 0; start < end; start += PIECE) {
    const piece = await ring.read(entry.position + start, Math.min(PIECE, end - start));
    for (let at = start === 0 ? LOG_ENTRY.size : 0; at < piece.length; at += DESCRIPTOR.size) {
      yield decodeDescriptor(piece.subarray(at, at + DESCRIPTOR.size), entry.sequence);
    }
  }
}

function decodeDescriptor(bytes: Buffer, sequence: bigint): Descriptor {
  const kind = bytes.toString('latin1', 0, 4);
  const offset = bytes.readBigUInt64LE(DESCRIPTOR.offset);
  const whole = (value: bigint) => value % BigInt(LOG_SECTOR) === 0n;
  if (bytes.readBigUInt64LE(DESCRIPTOR.sequence) !== sequence || !whole(offset)) throw new InvalidDescriptor();
  if (kind === DESCRIPTOR.data) {
    const leading = bytes.readBigUInt64LE(DESCRIPTOR.leading);
    return { kind: 'data', offset, leading, trailing: bytes.readUInt32LE(DESCRIPTOR.trailing) };
  }
  const length = bytes.readBigUInt64LE(DESCRIPTOR.zeroLength);
  if (kind !== DESCRIPTOR.zero || !whole(length)) throw new InvalidDescriptor();
  return { kind: 'zero', offset, length };
}
