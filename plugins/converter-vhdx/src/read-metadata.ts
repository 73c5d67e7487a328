import type { ImageFile } from '@polyvisor/core';
import { NULL_GUID, readGuid } from './guid.js';
import {
  FILE_FLAG,
  ITEM,
  ITEMS,
  MAX_BLOCK_SIZE,
  MAX_DISK_SIZE,
  MAX_ITEM_LENGTH,
  METADATA_TABLE,
  MIN_BLOCK_SIZE,
  SECTOR_SIZES,
} from './layout.js';
import { type ParentLocator, readParentLocator } from './parent-locator.js';
import { readAt } from './read-headers.js';
import type { Region } from './read-regions.js';
import type { Report } from './rules.js';

/** What the metadata says about the disk, checked. */
export interface Metadata {
  /** Guest-visible size in bytes. */
  readonly size: number;
  readonly blockSize: number;
  readonly fixed: boolean;
  readonly logicalSector: number;
  /** Absent where the image does not say. */
  readonly physicalSector: number | undefined;
  readonly diskId: string | undefined;
  /** Set for a differencing disk. */
  readonly parent: ParentLocator | undefined;
}

type ItemName = keyof typeof ITEMS;

/** A known item: its bytes, and where they are in the file. */
interface Item {
  readonly bytes: Buffer;
  readonly offset: number;
}

const NAMES = new Map<string, ItemName>((Object.keys(ITEMS) as ItemName[]).map((name) => [ITEMS[name].guid, name]));

/** Reads the metadata. Undefined when the disk cannot be told from it, which has been reported. */
export async function readMetadata(file: ImageFile, region: Region, report: Report): Promise<Metadata | undefined> {
  const items = await readItems(file, region, report);
  if (items === undefined) return undefined;
  for (const name of ['diskId', 'physicalSector'] as const) {
    if (items.has(name)) continue;
    report('vhdx-item-absent', `the metadata does not give the ${LABELS[name]}`, {
      offset: region.offset,
      expected: ITEMS[name].guid,
    });
  }
  const parameters = readFileParameters(items.get('fileParameters'), region, report);
  const logicalSector = readLogicalSector(items.get('logicalSector'), region, report);
  const size = readDiskSize(items.get('diskSize'), logicalSector ?? 512, region, report);
  if (parameters === undefined || logicalSector === undefined || size === undefined) return undefined;
  const diskId = items.get('diskId');
  const { blockSize, flags, offset } = parameters;
  const parent =
    (flags & FILE_FLAG.hasParent) === 0 ? undefined : readParent(items.get('parentLocator'), offset, report);
  if ((flags & FILE_FLAG.hasParent) !== 0 && parent === undefined) return undefined;
  return {
    size,
    blockSize,
    fixed: (flags & FILE_FLAG.leaveBlocksAllocated) !== 0,
    logicalSector,
    physicalSector: readPhysicalSector(items.get('physicalSector'), report),
    diskId: diskId === undefined ? undefined : readGuid(diskId.bytes, 0),
    parent,
  };
}

const LABELS: Readonly<Record<ItemName, string>> = {
  fileParameters: 'block size',
  diskSize: 'size of the disk',
  diskId: 'identity of the disk',
  logicalSector: 'logical sector size',
  physicalSector: 'physical sector size',
  parentLocator: 'parent',
};

async function readItems(
  file: ImageFile,
  region: Region,
  report: Report,
): Promise<ReadonlyMap<ItemName, Item> | undefined> {
  if (region.length < METADATA_TABLE.size) {
    report('vhdx-metadata-table', 'the metadata region is too short for its table', {
      offset: region.offset,
      expected: `at least ${METADATA_TABLE.size} bytes`,
      found: String(region.length),
    });
    return undefined;
  }
  const table = await readAt(file, region.offset, METADATA_TABLE.size);
  const magic = table.toString('latin1', 0, METADATA_TABLE.magic.length);
  const count = table.readUInt16LE(METADATA_TABLE.count);
  if (magic !== METADATA_TABLE.magic || count > METADATA_TABLE.maxEntries) {
    report('vhdx-metadata-table', 'the metadata region does not start with a table', {
      offset: region.offset,
      expected: `${METADATA_TABLE.magic}, at most ${METADATA_TABLE.maxEntries} entries`,
      found: magic === METADATA_TABLE.magic ? `${count} entries` : JSON.stringify(magic),
    });
    return undefined;
  }
  const items = new Map<ItemName, Item>();
  const places: { readonly start: number; readonly end: number; readonly at: number }[] = [];
  const seen = new Set<string>();
  for (let index = 0; index < count; index++) {
    const position = METADATA_TABLE.entries + index * METADATA_TABLE.entrySize;
    const entry = table.subarray(position, position + METADATA_TABLE.entrySize);
    const at = region.offset + position;
    const guid = readGuid(entry, ITEM.guid);
    const [start, length] = [entry.readUInt32LE(ITEM.offset), entry.readUInt32LE(ITEM.length)];
    const flags = entry.readUInt32LE(ITEM.flags);
    const isUser = (flags & ITEM.user) !== 0;
    const name = isUser ? undefined : NAMES.get(guid);
    if (name === undefined && (flags & ITEM.required) !== 0) {
      report('vhdx-item-unknown', `an unknown metadata item ${guid} is required`, { offset: at, found: guid });
    }
    // Items of users have a name space of their own.
    if (seen.has(`${guid} ${isUser}`)) {
      report('vhdx-item-duplicate', `the metadata item ${guid} is there twice`, { offset: at, found: guid });
      continue;
    }
    seen.add(`${guid} ${isUser}`);
    if (start < METADATA_TABLE.size || start + length > region.length) {
      if (start === 0 && length === 0 && name === undefined) continue; // an item without data
      report('vhdx-item-place', `the metadata item ${guid} is at an impossible place`, {
        offset: at + ITEM.offset,
        expected: `between ${METADATA_TABLE.size} and ${region.length} of the region`,
        found: `${length} bytes at ${start}`,
      });
      continue;
    }
    places.push({ start, end: start + length, at });
    if (name === undefined) continue;
    const wanted = ITEMS[name].length;
    if (wanted === undefined ? length > MAX_ITEM_LENGTH : length !== wanted) {
      report('vhdx-item-length', `the metadata item for the ${LABELS[name]} has a wrong length`, {
        offset: at + ITEM.length,
        expected: wanted === undefined ? `at most ${MAX_ITEM_LENGTH}` : String(wanted),
        found: String(length),
      });
      continue;
    }
    // Early images do not mark the physical sector size as required, and everybody takes them.
    const differing = (flags ^ ITEMS[name].flags) & (ITEM.user | ITEM.virtualDisk | ITEM.required);
    if (differing !== 0 && !(name === 'physicalSector' && differing === ITEM.required)) {
      report('vhdx-item-flags', `the metadata item for the ${LABELS[name]} has wrong flags`, {
        offset: at + ITEM.flags,
        expected: String(ITEMS[name].flags),
        found: String(flags),
      });
    }
    items.set(name, { bytes: await readAt(file, region.offset + start, length), offset: region.offset + start });
  }
  reportOverlap(places, report);
  return items;
}

function reportOverlap(
  places: readonly { readonly start: number; readonly end: number; readonly at: number }[],
  report: Report,
): void {
  let reached = 0;
  for (const { start, end, at } of [...places].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (start < reached) {
      const found = `offset ${start}`;
      report('vhdx-item-overlap', 'two metadata items overlap', { offset: at, expected: `${reached} or more`, found });
    }
    reached = Math.max(reached, end);
  }
}

/** The item, or a report that it is missing. */
function need(item: Item | undefined, name: ItemName, region: Region, report: Report): Item | undefined {
  if (item !== undefined) return item;
  report('vhdx-item-missing', `the metadata does not give the ${LABELS[name]}`, {
    offset: region.offset,
    expected: ITEMS[name].guid,
  });
  return undefined;
}

function readFileParameters(found: Item | undefined, region: Region, report: Report) {
  const item = need(found, 'fileParameters', region, report);
  if (item === undefined) return undefined;
  const [blockSize, flags] = [item.bytes.readUInt32LE(0), item.bytes.readUInt32LE(4)];
  const unknown = flags & ~(FILE_FLAG.leaveBlocksAllocated | FILE_FLAG.hasParent);
  if (unknown !== 0) {
    report('vhdx-file-flags', 'reserved flags of the file parameters are set', {
      offset: item.offset + 4,
      expected: '0 to 3',
      found: String(flags),
    });
  }
  if (blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE || !Number.isInteger(Math.log2(blockSize))) {
    report('vhdx-block-size', 'impossible block size', {
      offset: item.offset,
      expected: `a power of two from ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`,
      found: String(blockSize),
    });
    return undefined;
  }
  return { blockSize, flags, offset: item.offset + 4 };
}

function readLogicalSector(found: Item | undefined, region: Region, report: Report): number | undefined {
  const item = need(found, 'logicalSector', region, report);
  if (item === undefined) return undefined;
  const size = item.bytes.readUInt32LE(0);
  if (!SECTOR_SIZES.includes(size)) {
    report('vhdx-logical-sector', 'impossible logical sector size', {
      offset: item.offset,
      expected: '512 or 4096',
      found: String(size),
    });
    return undefined;
  }
  if (size !== 512) {
    const place = { offset: item.offset, expected: '512', found: String(size) };
    report('vhdx-logical-sector-4096', 'the guest sees sectors of 4096 bytes', place);
  }
  return size;
}

function readPhysicalSector(item: Item | undefined, report: Report): number | undefined {
  if (item === undefined) return undefined;
  const size = item.bytes.readUInt32LE(0);
  if (!SECTOR_SIZES.includes(size)) {
    const place = { offset: item.offset, expected: '512 or 4096', found: String(size) };
    report('vhdx-physical-sector', 'impossible physical sector size', place);
  }
  return size;
}

function readDiskSize(
  found: Item | undefined,
  logicalSector: number,
  region: Region,
  report: Report,
): number | undefined {
  const item = need(found, 'diskSize', region, report);
  if (item === undefined) return undefined;
  const size = item.bytes.readBigUInt64LE(0);
  if (size === 0n || size > BigInt(MAX_DISK_SIZE) || size % BigInt(logicalSector) !== 0n) {
    report('vhdx-disk-size', 'impossible size of the disk', {
      offset: item.offset,
      expected: `a multiple of ${logicalSector}, at most ${MAX_DISK_SIZE}, not 0`,
      found: String(size),
    });
    return undefined;
  }
  return Number(size);
}

function readParent(item: Item | undefined, flagsOffset: number, report: Report): ParentLocator | undefined {
  report('vhdx-differencing', 'the image holds only what differs from its parent', { offset: flagsOffset });
  const locator = item === undefined ? undefined : readParentLocator(item.bytes);
  if (locator !== undefined && locator.linkage !== NULL_GUID) return locator;
  report('vhdx-parent-locator', 'the image has a parent, and does not say which', {
    offset: item?.offset ?? flagsOffset,
    expected: 'a parent locator with a parent_linkage',
    found: item === undefined ? 'none' : `${item.bytes.length} bytes that hold none`,
  });
  return undefined;
}
