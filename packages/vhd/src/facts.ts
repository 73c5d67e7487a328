import { type ImageFacts, type ImageFile, UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { describeCreator } from './creators.js';
import { NOT_ALLOCATED, PLATFORM, SECTOR, bitmapSectors } from './layout.js';
import { locatorName, parentLocators, readLocator } from './parent-locators.js';
import { readAt } from './read-at.js';
import type { Footer } from './read-footer.js';
import type { BlockTable, DynamicHeader } from './read-header.js';

/** Bitmaps that are looked at to say how they are used: enough to tell one maker's habit, and read in no time. */
const SAMPLED_BITMAPS = 64;

export function footerFacts(footer: Footer): ImageFacts {
  const { creatorVersion, cylinders, heads, sectorsPerTrack } = footer;
  return {
    creator: describeCreator(footer.creatorApplication),
    'creator version': version(creatorVersion),
    ...(footer.creatorHostOs !== '' && { 'creator host': footer.creatorHostOs }),
    'original size': Number(footer.originalSize),
    geometry: `${cylinders}/${heads}/${sectorsPerTrack}`,
    uuid: footer.uniqueId,
    created: timeText(footer.time),
    ...(footer.savedState && { 'saved state': true }),
    ...(footer.hidden && { hidden: true }),
    ...(footer.temporary && { temporary: true }),
    ...(footer.poisoned && { disabled: true }),
  };
}

export function tableFacts(header: DynamicHeader, { table, stored }: BlockTable): ImageFacts {
  return {
    'block size': header.blockSize,
    blocks: table.length / 4,
    'blocks stored': stored,
    ...(header.batmapVersion !== undefined && { batmap: version(header.batmapVersion) }),
  };
}

/** Whether the stored blocks have all their sectors, by the bitmaps of the first ones. */
export async function bitmapFacts(
  file: ImageFile,
  { blockSize }: DynamicHeader,
  { table, stored }: BlockTable,
): Promise<ImageFacts> {
  if (stored === 0) return {};
  const bits = new Uint8Array(Math.ceil(blockSize / SECTOR / 8)).fill(0xff);
  let full = 0;
  let seen = 0;
  for (let at = 0; at < table.length && seen < SAMPLED_BITMAPS; at += 4) {
    const sector = table.readUInt32BE(at);
    if (sector === NOT_ALLOCATED) continue;
    seen++;
    const bitmap = await readAt(file, sector * SECTOR, bitmapSectors(blockSize) * SECTOR);
    if (bitmap.subarray(0, bits.length).equals(bits)) full++;
  }
  const use =
    full === seen ? 'all sectors present' : full === 0 ? 'sectors absent' : `sectors absent in ${seen - full}`;
  return { bitmaps: seen < stored ? `${use} (of the first ${seen} blocks)` : use };
}

export async function parentFacts(file: ImageFile, header: DynamicHeader): Promise<ImageFacts> {
  const locators: string[] = [];
  for (const locator of parentLocators(header.bytes)) {
    if (locator.code === PLATFORM.none) continue;
    const text = await readLocator(file, locator);
    locators.push(
      text === undefined ? locatorName(locator.code) : `${locatorName(locator.code)} ${JSON.stringify(text)}`,
    );
  }
  return {
    'parent uuid': header.parentId ?? 'none (a raw parent)',
    ...(header.parentName !== '' && { 'parent name': header.parentName }),
    ...(header.parentTimestamp !== 0 && { 'parent time': timeText(UNIX_SECONDS_OF_2000 + header.parentTimestamp) }),
    ...(locators.length > 0 && { 'parent locators': locators.join(', ') }),
  };
}

function version(packed: number): string {
  return `${packed >>> 16}.${packed & 0xffff}`;
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
