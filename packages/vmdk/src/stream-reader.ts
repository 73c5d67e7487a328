import type { ImageFile, OpenImage } from '@polyvisor/core';
import { type DescribedHeader, readHeader } from './header-reader.js';
import { layeredDisk } from './layered-disk.js';
import { SECTOR } from './layout.js';
import { openSparseLayer } from './sparse-layer.js';
import { TableMemory } from './table-reader.js';

/**
 * Opens a stream-optimized VMDK: ovftool's layout (directory behind the data, found through the footer), open-vmdk's
 * and qemu-img's (directory in front). Memory: the grain directory (4 bytes per 32 MiB of disk), 128 KiB of grain tables,
 * and 16 grains per read under way. Every number is checked against the file before it is used; no name inside
 * the file is followed.
 */
export async function openStream(file: ImageFile): Promise<OpenImage> {
  const header = await readHeader(file, 'stream');
  const { warnings, ...layer } = await openSparseLayer(file, header, new TableMemory());
  return {
    disk: layeredDisk([{ start: 0, layer }], undefined, () => Promise.resolve()),
    facts: sparseFacts(header),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

/** What `inspect` tells about a disk in one file. */
export function sparseFacts(header: DescribedHeader): Record<string, string | number | boolean> {
  const { createType, adapterType, hardwareVersion, contentId } = header.descriptor;
  return {
    'VMDK type': createType,
    'VMDK version': header.version,
    'grain size': header.grainSectors * SECTOR,
    ...(header.compressed
      ? { 'grain directory': header.directoryInFooter ? 'behind the data' : 'in front of the data' }
      : {}),
    ...(adapterType === undefined ? {} : { 'VMDK adapter': adapterType }),
    ...(hardwareVersion === undefined ? {} : { 'VMDK hardware version': hardwareVersion }),
    'VMDK content id': contentId,
  };
}
