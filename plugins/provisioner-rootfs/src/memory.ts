import { freemem } from 'node:os';
import { constrainedMemory } from 'node:process';
import type { RootfsOptions } from './options.js';

const GIB = 2 ** 30;

/** Part of what is free that a tree in memory may take; the rest is for the programs that make it. */
const SHARE = 0.8;

/** A Debian server takes one to two GiB while it is put together; with less memory to spare it goes to disk. */
const ENOUGH = 3 * GIB;

/** Bytes that the tree may take in memory, or undefined where it is to lie on disk. */
export function scratchMemory(
  choice: RootfsOptions['scratch'],
  free = Math.min(freemem(), constrainedMemory() || Number.MAX_SAFE_INTEGER),
): number | undefined {
  if (choice === 'disk') return undefined;
  const share = Math.floor((free * SHARE) / 4096) * 4096;
  return choice === 'memory' || share >= ENOUGH ? share : undefined;
}
