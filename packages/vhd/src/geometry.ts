import { SECTOR } from './layout.js';

export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
}

/**
 * The cylinders, heads and sectors that the specification's appendix assigns to a disk of `size` bytes. Cylinders are
 * rounded down, so the geometry may address a little less than the disk: blktap refuses one that addresses more.
 */
export function geometryOf(size: number): Geometry {
  const sectors = Math.min(Math.ceil(size / SECTOR), 65535 * 16 * 255);
  const of = (sectorsPerTrack: number, heads: number): Geometry => ({
    cylinders: Math.floor(Math.floor(sectors / sectorsPerTrack) / heads),
    heads,
    sectorsPerTrack,
  });
  if (sectors >= 65535 * 16 * 63) return of(255, 16);
  for (const sectorsPerTrack of [17, 31]) {
    const tracks = Math.floor(sectors / sectorsPerTrack);
    const heads = sectorsPerTrack === 17 ? Math.max(4, Math.ceil(tracks / 1024)) : 16;
    if (heads <= 16 && tracks < heads * 1024) return of(sectorsPerTrack, heads);
  }
  return of(63, 16);
}
