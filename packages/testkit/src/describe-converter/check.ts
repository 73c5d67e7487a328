import {
  compareDisks,
  type DiskConverter,
  errorKind,
  type Finding,
  type ImageFile,
  type OpenImage,
  type Patch,
} from '@polyvisor/core';
import { expect } from 'vitest';
import { never } from './write.js';

/** Findings and patches beyond which a run counts as endless, for samples of a few MiB. */
const MOST_FINDINGS = 10_000;
const MOST_PATCHES = 10_000;

/** Rounds of repair until nothing is left to mend: what one makes readable may show the next thing. */
const ROUNDS = 3;

/** What a writer made breaks no rule of the format, and there is nothing to mend. */
export async function expectSound(converter: DiskConverter, file: ImageFile): Promise<void> {
  if (converter.check !== undefined) {
    const errors = [];
    for await (const finding of converter.check(file, { signal: never })) {
      expectWellFormed(converter, finding);
      if (finding.severity === 'error') errors.push(finding);
    }
    expect(errors).toEqual([]);
  }
  if (converter.repair === undefined) return;
  for await (const patch of converter.repair(file, never)) expect(patch, 'a patch of a sound file').toBeUndefined();
}

function expectWellFormed(converter: DiskConverter, { rule, message, refusedBy }: Finding): void {
  expect(rule).toMatch(/^[a-z0-9]+(-[a-z0-9]+)+$/);
  expect(message).not.toBe('');
  for (const consumer of refusedBy) expect(converter.capabilities.consumers ?? []).toContain(consumer);
}

/** Whatever the file is, `check` comes to an end, with findings or a `FormatError`. */
export async function checksOrRefuses(converter: DiskConverter, file: ImageFile): Promise<void> {
  if (converter.check === undefined) return;
  let count = 0;
  await formatErrorOrDone(async () => {
    for await (const finding of converter.check?.(file, { signal: never }) ?? []) {
      expectWellFormed(converter, finding);
      if (++count > MOST_FINDINGS) throw new Error(`check has more than ${MOST_FINDINGS} findings: ${finding.rule}`);
    }
  });
}

/**
 * Whatever the file is, repairing it comes to an end, and never turns a disk that could be read into another one. `bytes` are
 * those of the image, and `imageOf` opens others in their place.
 */
export async function repairsOrRefuses(
  converter: DiskConverter,
  bytes: Uint8Array,
  imageOf: (bytes: Uint8Array) => ImageFile,
): Promise<void> {
  let current = bytes;
  for (let round = 0; ; round++) {
    const patches = await patchesFor(converter, imageOf(current));
    if (patches.length === 0) break;
    if (round === ROUNDS) throw new Error(`repair never ends: ${patches.map(({ reason }) => reason).join('; ')}`);
    current = applyPatches(current, patches);
  }
  if (current !== bytes) await expectSameDisk(converter, imageOf(bytes), imageOf(current));
}

async function patchesFor(converter: DiskConverter, file: ImageFile): Promise<readonly Patch[]> {
  const patches: Patch[] = [];
  await formatErrorOrDone(async () => {
    for await (const patch of converter.repair?.(file, never) ?? []) {
      expect(patch.reason).not.toBe('');
      expect(Number.isSafeInteger(patch.offset) && patch.offset >= 0).toBe(true);
      patches.push(patch);
      if (patches.length > MOST_PATCHES) throw new Error(`repair has more than ${MOST_PATCHES} patches`);
    }
  });
  return patches;
}

/** The bytes of an image after a repair; what a patch adds beyond their end makes them longer. */
export function applyPatches(bytes: Uint8Array, patches: readonly Patch[]): Uint8Array {
  const length = patches.reduce((most, patch) => Math.max(most, patch.offset + patch.bytes.length), bytes.length);
  const patched = new Uint8Array(length);
  patched.set(bytes);
  for (const patch of patches) patched.set(patch.bytes, patch.offset);
  return patched;
}

async function expectSameDisk(converter: DiskConverter, before: ImageFile, after: ImageFile): Promise<void> {
  await formatErrorOrDone(async () => {
    let old: OpenImage | undefined;
    let repaired: OpenImage | undefined;
    try {
      old = await converter.open(before);
      repaired = await converter.open(after);
      const result = await compareDisks(old.disk, repaired.disk, { signal: never });
      expect(result, 'the disk before and after the repair').toEqual({ equal: true });
      expect(repaired.disk.size, 'the size before and after the repair').toBe(old.disk.size);
    } finally {
      await old?.disk[Symbol.asyncDispose]();
      await repaired?.disk[Symbol.asyncDispose]();
    }
  });
}

/** A `FormatError` is fine, and so is success; anything else is not. */
export async function formatErrorOrDone(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (errorKind(error) !== 'format') throw error;
  }
}
