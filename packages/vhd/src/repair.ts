import {
  createIdentity,
  type ImageFile,
  type Patch,
  type RepairOptions,
  roundUp,
  seedOf,
  UNIX_SECONDS_OF_2000,
} from '@polyvisor/core';
import { batmapOffset, batmapUse, looksLikeBatmap } from './batmap.js';
import { checkBatmap } from './check/batmap-rules.js';
import { isAhead, NEWEST_TAP, standardGeometry } from './check/footer-rules.js';
import { isPowerOfTwo } from './check/header-rules.js';
import { checksum } from './checksum.js';
import { encodeEmptyBatmap } from './header.js';
import {
  BATMAP,
  BATMAP_COOKIE,
  BATMAP_VERSION_1_1,
  DISK_TYPE,
  FEATURES_RESERVED,
  FEATURES_TEMPORARY,
  FOOTER,
  HEADER,
  HEADER_COOKIE,
  MAX_SIZE,
  NOT_ALLOCATED,
  NO_OFFSET,
  SECTOR,
  SHORT_FOOTER_SIZE,
  VERSION_1_0,
  bitmapSectors,
} from './layout.js';
import { parentLocators } from './parent-locators.js';
import { readAt } from './read-at.js';
import { MAX_BLOCKS } from './read-header.js';
import { hasChecksum, hasCookie, hidesLate, isFooter, padFooter, withoutHidden } from './read-footer.js';

/** What a repair reads of the file before it decides anything. */
interface Found {
  readonly file: ImageFile;
  /** The last 512 or 511 bytes, filled up to 512. */
  readonly last: Buffer;
  readonly lastAt: number;
  readonly first: Buffer;
}

/** A dynamic disk's header and table, as far as they can be believed. */
interface Tables {
  readonly header: Buffer;
  readonly at: number;
  readonly entries: number;
  readonly blockSize: number;
  readonly tableOffset: number;
  /** Where the last block ends, in bytes. */
  readonly endOfData: number;
  /** Whether no block, header, table or name of a parent is in a part of the file. */
  isFree(start: number, end: number): boolean;
}

/**
 * What can be mended without guessing: everything that the rest of the file, or the format itself, says anew. Data is never
 * touched, nor the table, nor sizes. Of two sound footers that differ, the last one counts, as for the reader, unless only the
 * copy fits the tables.
 * `now`, in seconds since the Unix epoch, is needed for times in the future.
 */
export async function* repairVhd(
  file: ImageFile,
  signal: AbortSignal,
  { now }: RepairOptions = {},
): AsyncGenerator<Patch> {
  if (file.size < FOOTER.size) return;
  const remainder = file.size % SECTOR;
  const length = remainder === SHORT_FOOTER_SIZE ? SHORT_FOOTER_SIZE : FOOTER.size;
  const lastAt = file.size - length;
  const last = padFooter(await readAt(file, lastAt, length));
  const found = { file, last, lastAt, first: await readAt(file, 0, FOOTER.size) };
  const chosen = await chooseFooter(found);
  if (chosen === undefined) return;
  signal.throwIfAborted();
  const { footer: stored, tables } = chosen;
  const footer = Buffer.from(stored);
  const batmap = tables === undefined ? undefined : await mendBatmap(file, footer, tables);
  await mendFooter(footer, file, now);
  if (tables !== undefined) {
    const header = mendHeader(tables.header, footer, now);
    if (!header.equals(tables.header))
      yield { offset: tables.at, bytes: header, reason: 'the dynamic header was mended' };
  }
  if (batmap !== undefined) yield batmap;
  yield* placeFooters(found, footer, tables);
}

/** The footer to go by: the one that is sound or, of two, the one that the table agrees with; the last one first. */
async function chooseFooter(found: Found): Promise<{ footer: Buffer; tables: Tables | undefined } | undefined> {
  const { last, first } = found;
  const candidates = [last, first].filter((footer, index) => isFooter(footer) && (index === 0 || isDynamic(footer)));
  // A footer that says the same twice is right, and its checksum is what is wrong; so is one that its tables agree with.
  if (candidates.length === 0) candidates.push(...[last, first].filter(hasCookie));
  for (const footer of candidates) {
    if (!isDynamic(footer)) {
      const size = footer.readBigUInt64BE(FOOTER.currentSize);
      const fits = size > 0n && size % BigInt(SECTOR) === 0n && size <= BigInt(found.lastAt);
      if (footer === last && fits && footer.readUInt32BE(FOOTER.diskType) === DISK_TYPE.fixed)
        return { footer, tables: undefined };
      continue;
    }
    const tables = await readTables(found, footer);
    if (tables !== undefined) return { footer, tables };
  }
  return undefined;
}

function isDynamic(footer: Buffer): boolean {
  const type = footer.readUInt32BE(FOOTER.diskType);
  return type === DISK_TYPE.dynamic || type === DISK_TYPE.differencing;
}

/** The tables that a footer leads to; undefined when they are not there, or do not hold such a disk. */
async function readTables({ file }: Found, footer: Buffer): Promise<Tables | undefined> {
  const start = footer.readBigUInt64BE(FOOTER.dataOffset);
  const size = footer.readBigUInt64BE(FOOTER.currentSize);
  if (size === 0n || size > MAX_SIZE || size % BigInt(SECTOR) !== 0n) return undefined;
  if (start < FOOTER.size || start % BigInt(SECTOR) !== 0n || start + BigInt(HEADER.size) > file.size) return undefined;
  const at = Number(start);
  const header = await readAt(file, at, HEADER.size);
  if (header.toString('latin1', 0, HEADER_COOKIE.length) !== HEADER_COOKIE) return undefined;
  const entries = header.readUInt32BE(HEADER.maxTableEntries);
  const blockSize = header.readUInt32BE(HEADER.blockSize);
  const table = header.readBigUInt64BE(HEADER.tableOffset);
  if (!isPowerOfTwo(blockSize) || blockSize < SECTOR) return undefined;
  const blocks = Math.ceil(Number(size) / blockSize);
  if (blocks > entries || blocks > MAX_BLOCKS) return undefined;
  if (table < FOOTER.size || table % BigInt(SECTOR) !== 0n || table + BigInt(entries) * 4n > file.size)
    return undefined;
  const tableOffset = Number(table);
  const map = await readAt(file, tableOffset, blocks * 4);
  const used: [number, number][] = [
    [0, FOOTER.size],
    [at, at + HEADER.size],
    [tableOffset, roundUp(tableOffset + entries * 4, SECTOR)],
    ...parentLocators(header).map(({ offset, length }): [number, number] => [Number(offset), Number(offset) + length]),
  ];
  const bitmapLength = bitmapSectors(blockSize) * SECTOR;
  const isOver = (block: number, start: number, end: number) => {
    const from = map.readUInt32BE(block * 4) * SECTOR;
    return map.readUInt32BE(block * 4) !== NOT_ALLOCATED && from < end && from + bitmapLength + blockSize > start;
  };
  let endOfData = Math.max(at + HEADER.size, roundUp(tableOffset + entries * 4, SECTOR));
  for (let index = 0; index < blocks; index++) {
    const sector = map.readUInt32BE(index * 4);
    if (sector === NOT_ALLOCATED) continue;
    const data = sector * SECTOR + bitmapLength;
    // The disk's last block may be cut off behind its end.
    const whole = data + blockSize <= file.size;
    endOfData = Math.max(endOfData, data + (whole ? blockSize : Math.min(blockSize, Number(size) - index * blockSize)));
  }
  // Blocks that are not all there cannot be mended by a footer.
  if (endOfData > file.size) return undefined;
  return {
    header,
    at,
    entries,
    blockSize,
    tableOffset,
    endOfData,
    isFree: (start, end) => {
      for (let index = 0; index < blocks; index++) if (isOver(index, start, end)) return false;
      return (
        end <= Math.max(endOfData, file.size - FOOTER.size) && !used.some(([from, to]) => from < end && to > start)
      );
    },
  };
}

/** Sets what the format leaves no choice about; the checksum follows. */
async function mendFooter(footer: Buffer, file: ImageFile, now: number | undefined): Promise<void> {
  const size = footer.readBigUInt64BE(FOOTER.currentSize);
  const original = footer.readBigUInt64BE(FOOTER.originalSize);
  footer.writeUInt32BE(
    (footer.readUInt32BE(FOOTER.features) & FEATURES_TEMPORARY) | FEATURES_RESERVED,
    FOOTER.features,
  );
  footer.writeUInt32BE(VERSION_1_0, FOOTER.version);
  if (!isDynamic(footer)) footer.writeBigUInt64BE(NO_OFFSET, FOOTER.dataOffset);
  footer.writeUInt32BE(mendTime(footer.readUInt32BE(FOOTER.timestamp), now), FOOTER.timestamp);
  if (original === 0n || original > MAX_SIZE || original % BigInt(SECTOR) !== 0n)
    footer.writeBigUInt64BE(size, FOOTER.originalSize);
  if (footer.readUInt32BE(FOOTER.cylinders) > standardGeometry(size))
    footer.writeUInt32BE(standardGeometry(size), FOOTER.cylinders);
  for (const flag of [FOOTER.savedState, FOOTER.hidden]) if (footer.readUInt8(flag) > 1) footer.writeUInt8(1, flag);
  footer.fill(0, FOOTER.reserved);
  const creator = footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 3);
  if (creator === 'tap' && footer.readUInt32BE(FOOTER.creatorVersion) > NEWEST_TAP)
    footer.writeUInt32BE(NEWEST_TAP, FOOTER.creatorVersion);
  const id = footer.subarray(FOOTER.uniqueId, FOOTER.uniqueId + 16);
  // Any id is right that nobody else has; nothing can refer to a null one.
  if (id.every((byte) => byte === 0))
    id.write(
      createIdentity(await seedOf(file))
        .uuid('vhd')
        .replaceAll('-', ''),
      'hex',
    );
  if (!hasChecksum(footer)) footer.writeUInt32BE(checksum(footer, FOOTER.checksum), FOOTER.checksum);
}

/** Seconds since 1970 where those since 2000 belong are seen by being ahead; what else is ahead becomes the first second. */
function mendTime(timestamp: number, now: number | undefined): number {
  if (!isAhead(timestamp, now)) return timestamp;
  const fromUnix = timestamp - UNIX_SECONDS_OF_2000;
  return fromUnix >= 0 && !isAhead(fromUnix, now) ? fromUnix : 0;
}

function mendHeader(stored: Buffer, footer: Buffer, now: number | undefined): Buffer {
  const header = Buffer.from(stored);
  header.writeBigUInt64BE(NO_OFFSET, HEADER.dataOffset);
  header.writeUInt32BE(VERSION_1_0, HEADER.version);
  header.fill(0, HEADER.reserved, HEADER.parentName);
  header.fill(0, HEADER.moreReserved);
  if (footer.readUInt32BE(FOOTER.diskType) === DISK_TYPE.dynamic) {
    header.fill(0, HEADER.parentUniqueId, HEADER.moreReserved);
  } else {
    header.writeUInt32BE(mendTime(header.readUInt32BE(HEADER.parentTimestamp), now), HEADER.parentTimestamp);
  }
  header.writeUInt32BE(checksum(header, HEADER.checksum), HEADER.checksum);
  return header;
}

/**
 * blktap's block map, anew where it is not right. An empty one is always right: it only makes blktap look at the blocks'
 * own bitmaps. Where there is no room for one, the footer's version is lowered to one that does without.
 */
async function mendBatmap(file: ImageFile, footer: Buffer, tables: Tables): Promise<Patch | undefined> {
  const { entries, tableOffset } = tables;
  const use = batmapUse(footer);
  const at = batmapOffset(tableOffset, entries);
  if (use === 'never') return undefined;
  const header = at + BATMAP.size <= file.size ? await readAt(file, at, BATMAP.size) : Buffer.alloc(BATMAP.size);
  const marked = header.toString('latin1', 0, BATMAP_COOKIE.length) === BATMAP_COOKIE;
  if (!marked) {
    if (use === 'always') footer.writeUInt32BE(BATMAP_VERSION_1_1, FOOTER.creatorVersion);
    return undefined;
  }
  if (use === 'maybe' && !looksLikeBatmap(header)) return undefined;
  if (header.readUInt8(BATMAP.encrypted) !== 0 || (await isRightBatmap(file, footer, header, tables))) return undefined;
  const empty = encodeEmptyBatmap(at, entries);
  if (!tables.isFree(at, at + empty.length)) return undefined;
  return { offset: at, bytes: empty, reason: 'the block map was not right; an empty one always is' };
}

async function isRightBatmap(file: ImageFile, footer: Buffer, header: Buffer, tables: Tables): Promise<boolean> {
  const size = footer.readBigUInt64BE(FOOTER.currentSize);
  const { tableOffset, entries } = tables;
  const findings = checkBatmap({ file, footer, tableOffset, entries, size });
  return header.length === BATMAP.size && (await findings.next()).done === true;
}

/** The footer in both its places, as far as it is not there already. */
function* placeFooters(
  { last, lastAt, first, file }: Found,
  footer: Buffer,
  tables: Tables | undefined,
): Generator<Patch> {
  const reason = (was: Buffer) =>
    !hasCookie(was) ? 'was missing' : isFooter(was) ? 'was mended' : 'was damaged, or had a wrong checksum';
  if (tables === undefined) {
    if (!footer.equals(last)) yield { offset: lastAt, bytes: footer, reason: `the footer ${reason(last)}` };
    return;
  }
  // Early Xen hid a disk in its copy only, and still does not mind.
  if (footer.equals(last) && hidesLate(first) && withoutHidden(first).equals(last)) return;
  if (!footer.equals(first)) yield { offset: 0, bytes: footer, reason: `the copy of the footer ${reason(first)}` };
  if (footer.equals(last) && lastAt % SECTOR === 0) return;
  // In the last sector, unless a block is there: then behind it, and the file grows.
  const lastSector = Math.floor((file.size - 1) / SECTOR) * SECTOR;
  const offset = lastSector >= tables.endOfData ? lastSector : roundUp(tables.endOfData, SECTOR);
  yield { offset, bytes: footer, reason: `the footer ${reason(last)}` };
}
