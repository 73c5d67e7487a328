import type { ImageFile } from '@polyvisor/core';
import { Bat } from './bat.js';
import { Occupancy } from './occupancy.js';
import { type Header, isLogEmpty, readHeader } from './read-headers.js';
import { readMetadata } from './read-metadata.js';
import { readRegions } from './read-regions.js';
import { readReplay, replayed } from './replay.js';
import type { Report } from './rules.js';

/** An image whose structures have all been found. */
export interface Image {
  readonly header: Header;
  readonly bat: Bat;
  /** What of the file is in use so far: everything but the payload. */
  readonly occupancy: Occupancy;
}

/**
 * Goes from the headers over the log to the BAT, and reports what is wrong on the way. Both reading and `check` come this way, so
 * that neither knows of a flaw that the other does not. Undefined where nothing more can be told.
 */
export async function readImage(file: ImageFile, report: Report): Promise<Image | undefined> {
  const header = await readHeader(file, report);
  if (header === undefined) return undefined;
  const clean = await withLog(file, header, report);
  if (clean === undefined) return undefined;
  const occupancy = new Occupancy();
  const regions = await readRegions(clean, header, occupancy, report);
  if (regions === undefined) return undefined;
  const disk = await readMetadata(clean, regions.metadata, report);
  if (disk === undefined) return undefined;
  const bat = Bat.of(clean, disk, regions.bat, report);
  return bat === undefined ? undefined : { header, bat, occupancy };
}

/** The file with its log replayed. */
async function withLog(file: ImageFile, header: Header, report: Report): Promise<ImageFile | undefined> {
  if (isLogEmpty(header)) return file;
  const replay = await readReplay(file, header, report);
  if (replay === undefined) return undefined;
  report('vhdx-log-dirty', 'the image was not closed: its log has been replayed in memory, the file is as it was', {
    offset: header.logOffset,
    expected: 'an empty log',
    found: `${replay.entries} entries with ${replay.pages.length} pages and ${replay.zeros.length} ranges of zeros`,
  });
  return replayed(file, replay);
}
