import type { ImageFile } from '@polyvisor/core';
import { checksumWithout } from './crc32c.js';
import { readGuid } from './guid.js';
import { MIB, PLACE, REGION, REGION_GUID, REGION_TABLE } from './layout.js';
import type { Occupancy } from './occupancy.js';
import { type Header, hex, readAt } from './read-headers.js';
import type { Report, RuleName } from './rules.js';

/** A part of the file that a region table names. */
export interface Region {
  readonly offset: number;
  readonly length: number;
}

export interface Regions {
  readonly bat: Region;
  readonly metadata: Region;
}

/** One of the two region tables as it is in the file, and what is wrong with it. */
export interface TableCopy {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly flaw: string | undefined;
}

export async function readTableCopies(file: ImageFile): Promise<readonly [TableCopy, TableCopy]> {
  const [first, second] = PLACE.regionTables;
  return Promise.all([readCopy(file, first), readCopy(file, second)]);
}

async function readCopy(file: ImageFile, offset: number): Promise<TableCopy> {
  if (file.size < offset + REGION_TABLE.size) return { offset, bytes: Buffer.alloc(0), flaw: 'the end of the file' };
  const bytes = await readAt(file, offset, REGION_TABLE.size);
  return { offset, bytes, flaw: flawOf(bytes) };
}

function flawOf(bytes: Buffer): string | undefined {
  if (bytes.toString('latin1', 0, 4) !== REGION_TABLE.magic) return 'no signature';
  const [expected, found] = [checksumWithout(bytes, REGION_TABLE.checksum), bytes.readUInt32LE(REGION_TABLE.checksum)];
  return expected === found ? undefined : `checksum ${hex(found)} instead of ${hex(expected)}`;
}

/**
 * Finds the BAT and the metadata. Everything that a region table names is taken in `occupancy`, and so are the first MiB and
 * the log. Undefined when one of the two cannot be found, which has been reported.
 */
export async function readRegions(
  file: ImageFile,
  header: Header,
  occupancy: Occupancy,
  report: Report,
): Promise<Regions | undefined> {
  const table = chooseTable(await readTableCopies(file), report);
  if (table === undefined) return undefined;
  occupancy.take(0, MIB);
  occupancy.take(header.logOffset, header.logOffset + header.logLength);
  const regions = new Map<string, Region>();
  const count = table.bytes.readUInt32LE(REGION_TABLE.count);
  if (count > REGION_TABLE.maxEntries) {
    report('vhdx-region-count', 'the region table has too many entries', {
      offset: table.offset + REGION_TABLE.count,
      expected: `at most ${REGION_TABLE.maxEntries}`,
      found: String(count),
    });
    return undefined;
  }
  for (let index = 0; index < count; index++) {
    const at = REGION_TABLE.entries + index * REGION_TABLE.entrySize;
    readEntry(file, table.bytes.subarray(at), table.offset + at, { regions, occupancy, report });
  }
  const [bat, metadata] = [regions.get(REGION_GUID.bat), regions.get(REGION_GUID.metadata)];
  if (bat !== undefined && metadata !== undefined) return { bat, metadata };
  report('vhdx-region-missing', `the region table names no usable ${bat === undefined ? 'BAT' : 'metadata'}`, {
    offset: table.offset,
    expected: bat === undefined ? REGION_GUID.bat : REGION_GUID.metadata,
    found: `${count} entries`,
  });
  return undefined;
}

function chooseTable(copies: readonly [TableCopy, TableCopy], report: Report): TableCopy | undefined {
  const [first, second] = copies;
  if (first.flaw !== undefined && second.flaw !== undefined) {
    report('vhdx-region-table', 'neither region table is valid', {
      offset: first.offset,
      expected: `${REGION_TABLE.magic} and the CRC-32C of its ${REGION_TABLE.size} bytes`,
      found: `${first.flaw}; ${second.flaw}`,
    });
    return undefined;
  }
  const damaged = (rule: RuleName, which: string, { offset, flaw }: TableCopy) => {
    if (flaw === undefined) return;
    const place = { offset, expected: 'a valid region table', found: flaw };
    report(rule, `the ${which} region table is damaged, the other one is used`, place);
  };
  damaged('vhdx-region-table-first', 'first', first);
  damaged('vhdx-region-table-second', 'second', second);
  if (first.flaw === undefined && second.flaw === undefined && !first.bytes.equals(second.bytes)) {
    const at = first.bytes.findIndex((byte, index) => index >= REGION_TABLE.count && byte !== second.bytes[index]);
    report('vhdx-region-tables-differ', 'the two region tables differ, the first one is used', {
      offset: second.offset + Math.max(0, at),
      expected: hexByte(first.bytes[at]),
      found: hexByte(second.bytes[at]),
    });
  }
  return first.flaw === undefined ? first : second;
}

interface Reading {
  readonly regions: Map<string, Region>;
  readonly occupancy: Occupancy;
  readonly report: Report;
}

/** Takes one entry of the region table; one that cannot be is reported and left out. */
function readEntry(file: ImageFile, entry: Buffer, at: number, { regions, occupancy, report }: Reading): void {
  const guid = readGuid(entry, REGION.guid);
  const offset = entry.readBigUInt64LE(REGION.offset);
  const length = entry.readUInt32LE(REGION.length);
  const required = (entry.readUInt32LE(REGION.flags) & REGION.required) !== 0;
  const known = guid === REGION_GUID.bat || guid === REGION_GUID.metadata;
  if (!known && required) {
    report('vhdx-region-unknown', `an unknown region ${guid} is required`, {
      offset: at,
      expected: 'the BAT and the metadata',
      found: guid,
    });
  }
  if (known && !required) {
    report('vhdx-region-optional', `the region ${guid} is not marked as required`, {
      offset: at + REGION.flags,
      expected: '1',
      found: '0',
    });
  }
  if (regions.has(guid)) {
    report('vhdx-region-duplicate', `the region ${guid} is named twice`, { offset: at, found: guid });
    return;
  }
  if (
    offset < BigInt(MIB) ||
    offset % BigInt(MIB) !== 0n ||
    offset + BigInt(length) > BigInt(file.size) // so that it is a safe number, too
  ) {
    report('vhdx-region-place', `the region ${guid} is at an impossible place`, {
      offset: at + REGION.offset,
      expected: `whole MiB between 1 MiB and the end of the file at ${file.size}`,
      found: `${length} bytes at ${offset}`,
    });
    return;
  }
  if (length === 0 || length % MIB !== 0) {
    report('vhdx-region-length', `the length of the region ${guid} is not a number of whole MiB`, {
      offset: at + REGION.length,
      expected: `a multiple of ${MIB}`,
      found: String(length),
    });
  }
  const start = Number(offset);
  const clash = occupancy.take(start, start + length);
  if (clash !== undefined) {
    report('vhdx-region-overlap', `the region ${guid} overlaps the first MiB, the log or another region`, {
      offset: at + REGION.offset,
      expected: 'a place of its own',
      found: `${length} bytes at ${offset}, taken from ${clash} on`,
    });
  }
  regions.set(guid, { offset: start, length });
}

function hexByte(byte: number | undefined): string {
  return `0x${(byte ?? 0).toString(16).padStart(2, '0')}`;
}
