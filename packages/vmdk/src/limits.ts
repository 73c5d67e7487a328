import { DefinitionError, formatBytes, roundUp } from '@polyvisor/core';
import { ENTRIES_PER_TABLE, MAX_DIRECTORY, MAX_FILE_SIZE, SECTOR } from './layout.js';

/** Bytes of the grain directory of an extent, in whole sectors. Refuses grains so small that it would not be read again. */
export function directorySize(size: number, grainSize: number): number {
  const bytes = roundUp(Math.ceil(size / (ENTRIES_PER_TABLE * grainSize)) * 4, SECTOR);
  if (bytes <= MAX_DIRECTORY) return bytes;
  throw new DefinitionError(
    'disk-too-large',
    `a VMDK with grains of ${formatBytes(grainSize)} holds at most ${formatBytes((MAX_DIRECTORY / 4) * ENTRIES_PER_TABLE * grainSize)}, the disk has ${size} bytes`,
    { hint: 'choose larger grains, such as grain=64k' },
  );
}

/** Refuses to go on when the file would become longer than its tables can tell. */
export function refuseOversize(position: number, what: string): void {
  if (position < MAX_FILE_SIZE) return;
  throw new DefinitionError(
    'vmdk-too-large',
    `the ${what} of this disk would make the VMDK larger than ${formatBytes(MAX_FILE_SIZE)}, which is as far as its 32-bit sector numbers reach`,
    { hint: 'choose another format, such as qcow2' },
  );
}
