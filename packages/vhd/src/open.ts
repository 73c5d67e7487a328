import {
  clipExtents,
  type DiskSource,
  type ImageFile,
  type OpenImage,
  type ParentReference,
  type ReadOptions,
  expectParent,
  parentMissing,
  unionExtents,
  unreadableDisk,
} from '@polyvisor/core';
import { type BlockMap, dynamicExtents, readDynamic } from './dynamic-disk.js';
import { bitmapFacts, footerFacts, parentFacts, tableFacts } from './facts.js';
import { DISK_TYPE } from './layout.js';
import { parentNames } from './parent-locators.js';
import { type Footer, expectConsistentType, readFooter } from './read-footer.js';
import { type BlockTable, type DynamicHeader, readBlockTable, readDynamicHeader } from './read-header.js';
import { footerWarnings } from './warnings.js';

/**
 * Opens a fixed, dynamic or differencing VHD, whoever made it. The disk's size is the footer's current size; the geometry,
 * from which some tools take it, is shown, and warned of where it says otherwise. A differencing disk is read over the
 * parent that the user named, and its own idea of where the parent is never followed.
 */
export async function openVhd(file: ImageFile, { parent }: ReadOptions = {}): Promise<OpenImage> {
  const footer = await readFooter(file);
  expectConsistentType(file, footer);
  const warnings = footerWarnings(footer);
  if (footer.diskType === DISK_TYPE.fixed) {
    return {
      disk: diskSource(
        footer.size,
        (into, offset) => file.read(into, offset),
        (signal) => clipExtents(file.extents(signal), footer.size),
      ),
      facts: { subformat: 'fixed', ...footerFacts(footer) },
      linkId: footer.uniqueId,
      ...(warnings.length > 0 && { warnings }),
    };
  }
  const header = await readDynamicHeader(file, footer);
  const table = await readBlockTable(file, footer, header);
  const differencing = footer.diskType === DISK_TYPE.differencing;
  const reference = differencing ? await referenceOf(file, header) : undefined;
  if (reference !== undefined && parent !== undefined) expectParent(file, reference, parent);
  const map = {
    file,
    size: footer.size,
    blockSize: header.blockSize,
    table: table.table,
    leastFirst: footer.creatorApplication.startsWith('tap') && footer.creatorVersion === 0x0000_0001,
    parent: differencing ? parent?.disk : undefined,
  };
  const all = [...warnings, ...header.warnings, ...table.warnings];
  return {
    disk:
      reference !== undefined && parent === undefined
        ? unreadableDisk(footer.size, parentMissing(file, reference))
        : flattenedDisk(map),
    facts: await dynamicFacts(file, footer, header, table),
    linkId: footer.uniqueId,
    ...(reference !== undefined && { parent: reference }),
    ...(all.length > 0 && { warnings: all }),
  };
}

async function referenceOf(file: ImageFile, header: DynamicHeader): Promise<ParentReference> {
  const names = await parentNames(file, header.bytes);
  return header.parentId === undefined ? { names } : { names, linkId: header.parentId };
}

async function dynamicFacts(file: ImageFile, footer: Footer, header: DynamicHeader, table: BlockTable) {
  const differencing = footer.diskType === DISK_TYPE.differencing;
  return {
    subformat: differencing ? 'differencing' : 'dynamic',
    ...footerFacts(footer),
    ...tableFacts(header, table),
    ...(await bitmapFacts(file, header, table)),
    ...(differencing && (await parentFacts(file, header))),
  };
}

function flattenedDisk(map: BlockMap): DiskSource {
  const { parent, size } = map;
  return diskSource(
    size,
    (into, offset) => readDynamic(map, into, offset),
    (signal) =>
      parent === undefined
        ? dynamicExtents(map, signal)
        : unionExtents(dynamicExtents(map, signal), clipExtents(parent.extents(signal), size)),
  );
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
