import type { ImageFile, OpenImage } from '@polyvisor/core';
import { openStream } from '@polyvisor/vmdk';

/** Opens a disk of a package: the one place that says which VMDKs are read. */
export function openVmdk(file: ImageFile): Promise<OpenImage> {
  return openStream(file);
}
