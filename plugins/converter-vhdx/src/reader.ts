import {
  type Detection,
  errorKind,
  expectParent,
  type ImageFacts,
  type ImageFile,
  type OpenImage,
  type ParentReference,
  parentMissing,
  type ReadOptions,
  unreadableDisk,
} from '@polyvisor/core';
import { vhdxDisk } from './disk.js';
import { IDENTIFIER } from './layout.js';
import type { ParentLocator } from './parent-locator.js';
import { hasIdentifier, readAt, readHeader } from './read-headers.js';
import { type Image, readImage } from './read-image.js';
import { refusing } from './rules.js';

export async function detectVhdx(file: ImageFile): Promise<Detection> {
  if (!(await hasIdentifier(file))) return 'no';
  try {
    await readHeader(file, refusing(file));
    return 'yes';
  } catch (error) {
    if (errorKind(error) !== 'format') throw error;
    return 'maybe'; // cut off, or damaged; only opening it tells why
  }
}

/**
 * Opens a fixed, dynamic or differencing VHDX. A log that is not empty is replayed in memory. Everything that the disk depends
 * on is checked here, the whole BAT included, so that reading it cannot come upon a block of another.
 */
export async function openVhdx(file: ImageFile, options: ReadOptions = {}): Promise<OpenImage> {
  const warnings: string[] = [];
  const report = refusing(file, warnings);
  const image = (await readImage(file, report)) as Image; // everything that makes it undefined is refused
  const { bat, header, occupancy } = image;
  const stored = await bat.check(occupancy, report);
  const { parent: locator } = bat.disk;
  const opened = {
    facts: await factsOf(file, image, stored),
    linkId: header.dataWriteGuid,
    ...(warnings.length > 0 ? { warnings } : {}),
  };
  if (locator === undefined) return { ...opened, disk: vhdxDisk(bat, undefined) };
  const reference = referenceOf(locator, options.parent?.linkId);
  if (options.parent === undefined) {
    return { ...opened, parent: reference, disk: unreadableDisk(bat.disk.size, parentMissing(file, reference)) };
  }
  expectParent(file, reference, options.parent);
  return { ...opened, parent: reference, disk: vhdxDisk(bat, options.parent.disk) };
}

/** A child may name two identities of its parent; the one that was given counts, if it is one of them. */
function referenceOf({ linkage, linkage2, names }: ParentLocator, given: string | undefined): ParentReference {
  return { names, linkId: given !== undefined && given === linkage2 ? linkage2 : linkage };
}

async function factsOf(file: ImageFile, { bat }: Image, stored: number): Promise<ImageFacts> {
  const { disk } = bat;
  return {
    subformat: disk.parent !== undefined ? 'differencing' : disk.fixed ? 'fixed' : 'dynamic',
    creator: await readCreator(file),
    'block size': disk.blockSize,
    blocks: bat.blocks,
    'blocks stored': stored,
    'logical sector': disk.logicalSector,
    ...(disk.physicalSector === undefined ? {} : { 'physical sector': disk.physicalSector }),
    ...(disk.diskId === undefined ? {} : { uuid: disk.diskId }),
  };
}

/** The maker's name up to its end, without what could disturb a terminal. */
async function readCreator(file: ImageFile): Promise<string> {
  const bytes = await readAt(file, IDENTIFIER.creator, IDENTIFIER.creatorSize);
  return bytes
    .toString('utf16le')
    .replace(/\0.*$/s, '')
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}
