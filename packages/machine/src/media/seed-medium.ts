import { commitOutputs, createOutput, type Identity } from '@polyvisor/core';
import { buildTree } from './tree.js';
import { layFat } from './fat/lay-fat.js';
import { layIso } from './iso/lay-iso.js';

/** A medium with answers: a file system of its own, found by its label. */
export interface SeedMedium {
  /** `cidata`, `OEMDRV`, …; at most 32 characters on ISO, 11 on FAT, which has capital letters only. */
  readonly label: string;
  readonly filesystem: 'iso' | 'fat';
  /** By relative path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Gives the time and the serial number: equal media have equal bytes. */
  readonly identity: Identity;
}

/** Writes a seed medium to a new file. `medium-invalid` says what the file system cannot hold. */
export async function writeSeedMedium(path: string, medium: SeedMedium, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const tree = buildTree(medium.files);
  const image = medium.filesystem === 'iso' ? layIso(tree, medium) : layFat(tree, medium);
  const output = await createOutput(path, false);
  try {
    for (const { offset, bytes } of image.pieces) {
      signal?.throwIfAborted();
      await output.sink.write(bytes, offset);
    }
    await output.sink.end(image.size);
    await commitOutputs([output], false);
  } finally {
    await output.discard();
  }
}
