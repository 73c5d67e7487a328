import type { CheckOptions, Finding, ImageFile } from '@polyvisor/core';
import { DISK_TYPE, FOOTER, HEADER, PLATFORM, SECTOR } from '../layout.js';
import { locatorSpace, parentLocators } from '../parent-locators.js';
import { readAt } from '../read-at.js';
import { MAX_BLOCKS, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE, type Range } from '../read-header.js';
import { checkBatmap } from './batmap-rules.js';
import { checkBitmaps } from './bitmap-rules.js';
import { consumerRules, fixedSizeRule } from './consumer-rules.js';
import { BLKTAP, EVERYBODY, MICROSOFT } from './consumers.js';
import { checkFooters, type Footers } from './footers.js';
import { blktapBlocks, headerRules, isPowerOfTwo } from './header-rules.js';
import { checkParent } from './parent-rules.js';
import { applyRules, finding } from './rule.js';
import { checkTable } from './table-rules.js';

/**
 * Everything that is wrong with a VHD, in the order of the file's structures. Goes on as far as anything can be told: each
 * structure is read by itself, whatever is wrong with the one that leads to it, as long as it leads into the file.
 */
export async function* checkVhd(file: ImageFile, options: CheckOptions): AsyncGenerator<Finding> {
  const { consumer } = options;
  for await (const found of checkAll(file, options)) {
    const refused = consumer !== undefined && found.refusedBy.includes(consumer);
    yield refused ? { ...found, severity: 'error' } : found;
  }
}

async function* checkAll(file: ImageFile, options: CheckOptions): AsyncGenerator<Finding> {
  const footers = yield* checkFooters(file, options.now);
  if (footers === undefined) return;
  const { main: footer, end } = footers;
  const subject = { consumer: options.consumer, footer, at: end, fileSize: file.size };
  yield* applyRules([...consumerRules, fixedSizeRule], subject);
  const type = footer.readUInt32BE(FOOTER.diskType);
  if (type === DISK_TYPE.dynamic || type === DISK_TYPE.differencing) yield* checkDynamic(file, footers, options);
}

async function* checkDynamic(
  file: ImageFile,
  { main: footer, end }: Footers,
  options: CheckOptions,
): AsyncGenerator<Finding> {
  const start = footer.readBigUInt64BE(FOOTER.dataOffset);
  const readable = start + BigInt(HEADER.size) <= BigInt(file.size);
  if (!readable || start % BigInt(SECTOR) !== 0n || start < FOOTER.size || start + BigInt(HEADER.size) > end) {
    yield finding(
      {
        rule: 'header-offset', // 17
        severity: 'error',
        message: 'the dynamic header is not inside the file, or not on a sector of its own',
        refusedBy: [],
      },
      {
        offset: end + FOOTER.dataOffset,
        expected: `a multiple of ${SECTOR} from ${FOOTER.size} to ${end - HEADER.size}`,
        found: `${start}`,
        // blktap reads around the cache of the system, and so by whole sectors.
        refusedBy: !readable ? EVERYBODY : start % BigInt(SECTOR) !== 0n ? [...BLKTAP, ...MICROSOFT] : [],
      },
    );
  }
  if (!readable) return;
  const at = Number(start);
  const header = await readAt(file, at, HEADER.size);
  const size = footer.readBigUInt64BE(FOOTER.currentSize);
  const type = footer.readUInt32BE(FOOTER.diskType);
  yield* applyRules(headerRules, { bytes: header, at, size, fileSize: file.size });
  yield* checkParent(file, type, { bytes: header, at, fileSize: file.size, now: options.now });
  yield* checkBlocks(file, footer, header, at, end, options);
}

/** The tables behind the header, as far as it leads to them. */
async function* checkBlocks(
  file: ImageFile,
  footer: Buffer,
  header: Buffer,
  at: number,
  end: number,
  { consumer, signal }: CheckOptions,
): AsyncGenerator<Finding> {
  const size = footer.readBigUInt64BE(FOOTER.currentSize);
  const entries = header.readUInt32BE(HEADER.maxTableEntries);
  const blockSize = header.readUInt32BE(HEADER.blockSize);
  const table = header.readBigUInt64BE(HEADER.tableOffset);
  if (table + BigInt(entries) * 4n > BigInt(file.size) || !isPowerOfTwo(blockSize)) return;
  // A disk far beyond what the format can hold was told by its footer, and would only cost memory.
  if (size === 0n || blktapBlocks(size) > BigInt(MAX_BLOCKS)) return;
  const tableOffset = Number(table);
  const tableEnd = tableOffset + Math.ceil((entries * 4) / SECTOR) * SECTOR;
  const batmap = yield* checkBatmap({ file, footer, tableOffset, entries, size });
  const structures: Range[] = [
    { start: 0, end: FOOTER.size },
    { start: at, end: at + HEADER.size },
    { start: tableOffset, end: tableEnd },
    ...batmap,
  ];
  let sound = true;
  const endOfHeaders = Math.max(
    ...structures.map((range) => range.end),
    entries === 0 ? tableOffset + SECTOR : 0,
    ...endsOfLocators(header, file.size),
  );
  const subject = { file, tableOffset, entries, blockSize, size, footerAt: end, structures, endOfHeaders, consumer };
  for await (const found of checkTable(subject)) {
    sound &&= found.severity === 'warning';
    yield found;
  }
  const blocks = Math.ceil(Number(size) / blockSize);
  if (!sound || blocks > Math.min(entries, MAX_BLOCKS) || blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE)
    return;
  yield* checkBitmaps({
    file,
    table: await readAt(file, tableOffset, blocks * 4),
    blockSize,
    size: Number(size),
    leastFirst:
      footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 3) === 'tap' &&
      footer.readUInt32BE(FOOTER.creatorVersion) === 0x0000_0001,
    signal,
  });
}

/** blktap counts the texts of locators among the headers, wherever they are; from 2^63 on, their offsets are negative to it. */
function endsOfLocators(header: Buffer, fileSize: number): number[] {
  return parentLocators(header)
    .filter((locator) => locator.code !== PLATFORM.none && locator.offset + BigInt(locatorSpace(locator)) < 2n ** 63n)
    .map((locator) => Math.min(Number(locator.offset) + locatorSpace(locator), fileSize));
}
