import {
  type DiskSource,
  type Extent,
  FormatError,
  type ImageFacts,
  type ImageFile,
  type OpenImage,
} from '@polyvisor/core';
import { dynamicExtents, readDynamic } from './dynamic-disk.js';
import { DISK_TYPE, FOOTER, NOT_ALLOCATED } from './layout.js';
import { type Footer, expectConsistentType, printable, readFooter } from './read-footer.js';
import { readBlockTable, readDynamicHeader } from './read-header.js';

/**
 * Opens a fixed or dynamic VHD, whoever made it. The disk's size is the footer's current size; the geometry, from which
 * some old tools take it, is shown and otherwise ignored. A differencing disk is refused, and its parent never looked for.
 */
export async function openVhd(file: ImageFile): Promise<OpenImage> {
  const footer = await readFooter(file);
  expectConsistentType(file, footer);
  if (footer.diskType === DISK_TYPE.fixed) {
    return {
      disk: diskSource(
        footer.size,
        (into, offset) => file.read(into, offset),
        (signal) => clippedExtents(file, footer.size, signal),
      ),
      facts: facts(footer, 'fixed', {}),
    };
  }
  const header = await readDynamicHeader(file, footer);
  if (footer.diskType === DISK_TYPE.differencing) {
    throw new FormatError('vhd-differencing', `the disk holds only what differs from ${printable(header.parentName)}`, {
      file: file.path,
      offset: footer.offset + FOOTER.diskType,
      expected: `${DISK_TYPE.fixed} (fixed) or ${DISK_TYPE.dynamic} (dynamic)`,
      found: `${DISK_TYPE.differencing} (differencing)`,
      hint: 'merge it with its parent first; a name inside an image is never followed',
    });
  }
  const { blockSize } = header;
  const table = await readBlockTable(file, footer, header);
  const map = { file, size: footer.size, blockSize, table };
  let stored = 0;
  for (let at = 0; at < table.length; at += 4) if (table.readUInt32BE(at) !== NOT_ALLOCATED) stored++;
  return {
    disk: diskSource(
      footer.size,
      (into, offset) => readDynamic(map, into, offset),
      (signal) => dynamicExtents(map, signal),
    ),
    facts: facts(footer, 'dynamic', { 'block size': blockSize, blocks: table.length / 4, 'blocks stored': stored }),
  };
}

function facts(footer: Footer, subformat: string, more: ImageFacts): ImageFacts {
  const { creatorVersion, cylinders, heads, sectorsPerTrack, uniqueId } = footer;
  return {
    subformat,
    creator: printable(footer.creatorApplication.replace(/\0+$/, '')).slice(1, -1),
    'creator version': `${creatorVersion >>> 16}.${creatorVersion & 0xffff}`,
    ...more,
    'original size': Number(footer.originalSize),
    geometry: `${cylinders}/${heads}/${sectorsPerTrack}`,
    uuid: uniqueId.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    created: new Date(footer.time * 1000).toISOString(),
  };
}

function diskSource(size: number, read: DiskSource['read'], extents: DiskSource['extents']): DiskSource {
  return {
    size,
    extents,
    read: async (into, offset) => {
      if (offset < 0 || offset + into.length > size) {
        throw new RangeError(`cannot read ${into.length} bytes at offset ${offset} of a disk of ${size} bytes`);
      }
      await read(into, offset);
    },
    // The file is borrowed, so there is nothing to release.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function* clippedExtents(file: ImageFile, size: number, signal?: AbortSignal): AsyncGenerator<Extent> {
  for await (const { offset, length } of file.extents(signal)) {
    if (offset >= size) return;
    yield { offset, length: Math.min(length, size - offset) };
  }
}
