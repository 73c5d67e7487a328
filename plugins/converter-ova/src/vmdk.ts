import type { ImageFile, OpenImage } from '@polyvisor/core';
import { openVmdk as openDisk } from '@polyvisor/vmdk';

/**
 * Opens a disk of a package. Streams are what belongs there; sparse ones are found too. A package is whole: what a disk names
 * beside itself, or as its parent, is not looked for.
 */
export function openVmdk({ path, size, extents, read, [Symbol.asyncDispose]: dispose }: ImageFile): Promise<OpenImage> {
  return openDisk({ path, size, extents, read, [Symbol.asyncDispose]: dispose });
}
