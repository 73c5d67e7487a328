import type { ImageFile } from '@polyvisor/core';
import { checksumWithout } from './crc32c.js';
import { NULL_GUID, readGuid } from './guid.js';
import { HEADER, IDENTIFIER, MIB, PLACE } from './layout.js';
import type { Report } from './rules.js';

/** The current header, checked. */
export interface Header {
  /** In the file, in bytes. */
  readonly offset: number;
  readonly sequence: bigint;
  readonly dataWriteGuid: string;
  /** Which entries of the log belong to this file's present; null when there is nothing to be replayed. */
  readonly logGuid: string;
  readonly logOffset: number;
  readonly logLength: number;
}

/** One of the two headers as it is in the file. */
export interface HeaderCopy {
  readonly offset: number;
  /** Empty where the file ends before it. */
  readonly bytes: Buffer;
  /** What is wrong with it; undefined when it is valid. */
  readonly flaw: string | undefined;
}

/** Whether the file starts like a VHDX. */
export async function hasIdentifier(file: ImageFile): Promise<boolean> {
  if (file.size < IDENTIFIER.magic.length) return false;
  return (await readAt(file, 0, IDENTIFIER.magic.length)).toString('latin1') === IDENTIFIER.magic;
}

export async function readHeaderCopies(file: ImageFile): Promise<readonly [HeaderCopy, HeaderCopy]> {
  const [first, second] = PLACE.headers;
  return Promise.all([readCopy(file, first), readCopy(file, second)]);
}

async function readCopy(file: ImageFile, offset: number): Promise<HeaderCopy> {
  if (file.size < offset + HEADER.size) return { offset, bytes: Buffer.alloc(0), flaw: 'the end of the file' };
  const bytes = await readAt(file, offset, HEADER.size);
  return { offset, bytes, flaw: flawOf(bytes) };
}

function flawOf(bytes: Buffer): string | undefined {
  if (bytes.toString('latin1', 0, 4) !== HEADER.magic) return 'no signature';
  const [expected, found] = [checksumWithout(bytes, HEADER.checksum), bytes.readUInt32LE(HEADER.checksum)];
  return expected === found ? undefined : `checksum ${hex(found)} instead of ${hex(expected)}`;
}

/** Finds and checks the current header; undefined when there is none, which has been reported. */
export async function readHeader(file: ImageFile, report: Report): Promise<Header | undefined> {
  if (!(await hasIdentifier(file))) {
    report('vhdx-identifier', 'not a VHDX image', { offset: 0, expected: IDENTIFIER.magic });
    return undefined;
  }
  const copies = await readHeaderCopies(file);
  const current = chooseHeader(copies, report);
  return current === undefined ? undefined : decodeHeader(file, current, report);
}

function chooseHeader([first, second]: readonly [HeaderCopy, HeaderCopy], report: Report): HeaderCopy | undefined {
  if (first.flaw !== undefined && second.flaw !== undefined) {
    report('vhdx-header', 'neither header is valid', {
      offset: first.offset,
      expected: `${HEADER.magic} and the CRC-32C of its ${HEADER.size} bytes`,
      found: `${first.flaw}; ${second.flaw}`,
    });
    return undefined;
  }
  for (const [index, { offset, flaw }] of [first, second].entries()) {
    if (flaw === undefined) continue;
    report('vhdx-header-copy', `the ${ordinal(index)} header is damaged, the other one is used`, {
      offset,
      expected: 'a valid header',
      found: flaw,
    });
    return index === 0 ? second : first;
  }
  const [a, b] = [sequenceOf(first), sequenceOf(second)];
  if (a !== b) return a > b ? first : second;
  if (!first.bytes.equals(second.bytes)) {
    report('vhdx-header-ambiguous', 'both headers have the same sequence number and differ', {
      offset: first.offset + HEADER.sequence,
      expected: 'one greater than the other',
      found: `${a} twice`,
    });
    return undefined;
  }
  // Disk2vhd writes the same header twice, and everybody takes it.
  report('vhdx-header-sequence', 'both headers have the same sequence number', {
    offset: second.offset + HEADER.sequence,
    expected: 'one greater than the other',
    found: `${a} twice`,
  });
  return first;
}

export function sequenceOf({ bytes }: HeaderCopy): bigint {
  return bytes.readBigUInt64LE(HEADER.sequence);
}

function decodeHeader(file: ImageFile, { offset, bytes }: HeaderCopy, report: Report): Header | undefined {
  const version = bytes.readUInt16LE(HEADER.version);
  const logVersion = bytes.readUInt16LE(HEADER.logVersion);
  if (version !== 1 || logVersion !== 0) {
    report('vhdx-version', 'unknown version of the format', {
      offset: offset + HEADER.logVersion,
      expected: 'version 1, log version 0',
      found: `version ${version}, log version ${logVersion}`,
    });
    return undefined;
  }
  const logOffset = bytes.readBigUInt64LE(HEADER.logOffset);
  const logLength = bytes.readUInt32LE(HEADER.logLength);
  const mib = BigInt(MIB);
  const fits = logOffset >= mib && logOffset + BigInt(logLength) <= BigInt(file.size);
  if (!fits || logOffset % mib !== 0n || logLength % MIB !== 0) {
    report('vhdx-log-place', 'the log is at an impossible place', {
      offset: offset + HEADER.logLength,
      expected: `whole MiB between 1 MiB and the end of the file at ${file.size}`,
      found: `${logLength} bytes at ${logOffset}`,
    });
    return undefined;
  }
  return {
    offset,
    sequence: bytes.readBigUInt64LE(HEADER.sequence),
    dataWriteGuid: readGuid(bytes, HEADER.dataWriteGuid),
    logGuid: readGuid(bytes, HEADER.logGuid),
    logOffset: Number(logOffset),
    logLength,
  };
}

export function isLogEmpty({ logGuid }: Header): boolean {
  return logGuid === NULL_GUID;
}

/** Reads a part of the file that is known to be there. */
export async function readAt(file: ImageFile, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await file.read(bytes, offset);
  return bytes;
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

export function ordinal(index: number): string {
  return index === 0 ? 'first' : 'second';
}
