import type { Finding, ImageFile } from '@polyvisor/core';
import { batmapChecksum, batmapOffset, batmapUse, looksLikeBatmap, summedBytes } from '../batmap.js';
import { BATMAP, BATMAP_COOKIE, BATMAP_VERSION, DEFAULT_BLOCK_SIZE, FOOTER, NOT_ALLOCATED, SECTOR } from '../layout.js';
import { printable, readAt } from '../read-at.js';
import type { Range } from '../read-header.js';
import { BLKTAP } from './consumers.js';
import { applyRules, finding, hex, type Rule } from './rule.js';

export interface BatmapContext {
  readonly file: ImageFile;
  readonly footer: Buffer;
  readonly tableOffset: number;
  readonly entries: number;
  readonly size: bigint;
}

interface BatmapSubject {
  readonly header: Buffer;
  /** Of the header in the file, in bytes. */
  readonly at: number;
  readonly fileSize: number;
  readonly entries: number;
  readonly size: bigint;
  /** The bytes that blktap reads; undefined when they are not in the file. */
  readonly map: Buffer | undefined;
}

const sectorsOf = (header: Buffer) => header.readUInt32BE(BATMAP.mapSectors);

/** 29, in parts; said of a header with a cookie that is right. */
const batmapRules: readonly Rule<BatmapSubject>[] = [
  {
    rule: 'batmap-version',
    severity: 'error',
    message: 'this version of the block map is not known',
    refusedBy: BLKTAP,
    breach: ({ header, at }) =>
      header.readUInt32BE(BATMAP.version) > BATMAP_VERSION && {
        offset: at + BATMAP.version,
        expected: `at most ${hex(BATMAP_VERSION)}`,
        found: hex(header.readUInt32BE(BATMAP.version)),
      },
  },
  {
    rule: 'batmap-size',
    severity: 'error',
    message: 'the block map has no room for a bit of every block',
    refusedBy: BLKTAP,
    breach: ({ header, at, entries, size }) => {
      const sectors = sectorsOf(header);
      // blktap counts the bits in 32 bits.
      const bits = (sectors << 12) >>> 0;
      return (
        (sectors === 0 || bits < entries || sectors * SECTOR < summedBytes(size)) && {
          offset: at + BATMAP.mapSectors,
          expected: `at least ${Math.ceil(entries / 4096)} sectors`,
          found: `${sectors}`,
        }
      );
    },
  },
  {
    rule: 'batmap-offset',
    severity: 'error',
    message: 'the block map is not inside the file, or not on a sector',
    refusedBy: BLKTAP,
    breach: ({ header, at, fileSize }) => {
      const offset = header.readBigUInt64BE(BATMAP.mapOffset);
      const end = offset + BigInt(sectorsOf(header)) * BigInt(SECTOR);
      return (
        (offset === 0n || offset % BigInt(SECTOR) !== 0n || end > BigInt(fileSize - FOOTER.size)) && {
          offset: at + BATMAP.mapOffset,
          expected: `a multiple of ${SECTOR}, and an end of at most ${fileSize - FOOTER.size}`,
          found: `${offset} to ${end}`,
        }
      );
    },
  },
  {
    rule: 'batmap-checksum',
    severity: 'error',
    message: 'the checksum of the block map is wrong',
    refusedBy: BLKTAP,
    hint: 'repair writes an empty map, which is always right',
    breach: ({ header, at, map }) => {
      if (map === undefined) return undefined;
      const expected = batmapChecksum(map, header.readUInt32BE(BATMAP.version));
      const found = header.readUInt32BE(BATMAP.checksum);
      return found !== expected && { offset: at + BATMAP.checksum, expected: hex(expected), found: hex(found) };
    },
  },
  {
    rule: 'batmap-encrypted',
    severity: 'error',
    message: 'the disk is encrypted by tapdisk',
    refusedBy: [],
    hint: 'export it from the host that holds its key',
    breach: ({ header, at }) =>
      header.readUInt8(BATMAP.encrypted) !== 0 && {
        offset: at + BATMAP.encrypted,
        expected: '0',
        found: `${header.readUInt8(BATMAP.encrypted)}`,
      },
  },
];

/** 29 and 30: blktap's block map, where there is one or must be. Returns what it takes of the file. */
export async function* checkBatmap(context: BatmapContext): AsyncGenerator<Finding, Range[]> {
  const { file, footer, tableOffset, entries, size } = context;
  const use = batmapUse(footer);
  const at = batmapOffset(tableOffset, entries);
  if (use === 'never') return [];
  const header = at + BATMAP.size <= file.size ? await readAt(file, at, BATMAP.size) : Buffer.alloc(BATMAP.size);
  if (use === 'maybe' && !looksLikeBatmap(header)) return [];
  const cookie = header.toString('latin1', 0, BATMAP_COOKIE.length);
  if (cookie !== BATMAP_COOKIE) {
    yield finding(
      {
        rule: 'batmap-missing',
        severity: 'warning',
        message: 'a disk of blktap 1.2 or later has no block map, and is not opened by it',
        refusedBy: BLKTAP,
        hint: 'repair lowers the version, so that none is looked for',
      },
      { offset: at, expected: JSON.stringify(BATMAP_COOKIE), found: printable(cookie) },
    );
    return [];
  }
  const mapOffset = header.readBigUInt64BE(BATMAP.mapOffset);
  const length = summedBytes(size);
  const inside = mapOffset + BigInt(length) <= BigInt(file.size);
  const map = inside ? await readAt(file, Number(mapOffset), length) : undefined;
  yield* applyRules(batmapRules, { header, at, fileSize: file.size, entries, size, map });
  if (map !== undefined) yield* checkFullBlocks(context, header, map, Number(mapOffset));
  const ranges = [{ start: at, end: at + BATMAP.size }];
  const end = mapOffset + BigInt(sectorsOf(header)) * BigInt(SECTOR);
  if (end <= BigInt(file.size)) ranges.push({ start: Number(mapOffset), end: Number(end) });
  return ranges;
}

/** 30: a block of which every sector is present is stored. */
async function* checkFullBlocks(
  { file, tableOffset, entries, size }: BatmapContext,
  header: Buffer,
  map: Buffer,
  mapOffset: number,
): AsyncGenerator<Finding> {
  const looked = Math.min(
    Number(size / BigInt(DEFAULT_BLOCK_SIZE)),
    entries,
    map.length * 8,
    (sectorsOf(header) << 12) >>> 0,
  );
  const table = await readAt(file, tableOffset, looked * 4);
  let first: number | undefined;
  let count = 0;
  for (let block = 0; block < looked; block++) {
    const full = ((map[block >> 3] ?? 0) & (0x80 >> (block & 7))) !== 0;
    if (!full || table.readUInt32BE(block * 4) !== NOT_ALLOCATED) continue;
    first ??= block;
    count++;
  }
  if (first === undefined) return;
  yield finding(
    {
      rule: 'batmap-bits',
      severity: 'error',
      message: 'the block map says of a block that is not stored that all of it is',
      refusedBy: BLKTAP,
      hint: 'repair writes an empty map, which is always right',
    },
    {
      offset: mapOffset + (first >> 3),
      expected: 'bits of stored blocks only',
      found: `a bit of block ${first}${count > 1 ? `, and ${count - 1} more` : ''}`,
    },
  );
}
