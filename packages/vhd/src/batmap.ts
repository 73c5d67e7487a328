import { roundUp } from '@polyvisor/core';
import { BATMAP, BATMAP_COOKIE, BATMAP_VERSION, BATMAP_VERSION_1_1, FOOTER, SECTOR } from './layout.js';

/** `always`: blktap does not open the disk without one; `maybe`: there is one if it looks like one. */
export type BatmapUse = 'never' | 'maybe' | 'always';

/** Whether blktap expects its block map, by the creator and its version alone. */
export function batmapUse(footer: Buffer): BatmapUse {
  const creator = footer.toString('latin1', FOOTER.creatorApplication, FOOTER.creatorApplication + 3);
  const version = footer.readUInt32BE(FOOTER.creatorVersion);
  if (creator !== 'tap' || version <= 0x0000_0001) return 'never';
  return version >= 0x0001_0002 ? 'always' : 'maybe';
}

/** Where its header is: behind the table, which takes at least one sector. In bytes. */
export function batmapOffset(tableOffset: number, entries: number): number {
  return tableOffset + Math.max(SECTOR, roundUp(entries * 4, SECTOR));
}

export function looksLikeBatmap(header: Buffer): boolean {
  return (
    header.toString('latin1', 0, BATMAP_COOKIE.length) === BATMAP_COOKIE &&
    header.readUInt32BE(BATMAP.version) <= BATMAP_VERSION
  );
}

/**
 * Bytes of the map that blktap reads and sums: whole bytes of whole blocks of 2 MiB only, in whole sectors. Bits past them
 * are never seen, and a checksum that covers them is refused.
 */
export function summedBytes(size: bigint): number {
  return Math.max(SECTOR, roundUp(Number(size / 0x100_0000n), SECTOR));
}

export function batmapChecksum(map: Uint8Array, version: number): number {
  const signed = version === BATMAP_VERSION_1_1;
  let sum = 0;
  for (const byte of map) sum += signed && byte > 127 ? byte - 256 : byte;
  return ~sum >>> 0;
}
