import { formatBytes, roundUp } from './bytes.js';
import type { ConverterCapabilities } from './converter.js';
import { SECTOR_SIZE } from './disk.js';
import { DefinitionError } from './errors.js';

/** Refuses a disk that a format cannot hold, before anything is written. */
export function assertFits(
  converter: { readonly id: string; readonly capabilities: ConverterCapabilities },
  size: number,
): void {
  const { maxSize, sizeMultiple } = converter.capabilities;
  if (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0) {
    throw new DefinitionError(
      'disk-size-invalid',
      `a disk must have a size that is a positive multiple of ${SECTOR_SIZE} bytes, this one has ${size}`,
    );
  }
  if (roundUp(size, sizeMultiple) > maxSize) {
    throw new DefinitionError(
      'disk-too-large',
      `${converter.id} holds at most ${maxSize} bytes (${formatBytes(maxSize)}), the disk has ${size} (${formatBytes(size)})`,
      { hint: 'choose a format with a larger limit; `polyvisor plugins` lists them' },
    );
  }
}
