import { sizedByGeometry } from './creators.js';
import { SECTOR } from './layout.js';
import type { Footer } from './read-footer.js';

/** The geometry of every larger disk, too, so that it says nothing about the size. In sectors. */
const LARGEST_GEOMETRY = 65535 * 16 * 255;

/** Bytes that the geometry addresses; undefined where it says nothing. */
export function geometrySize(footer: Pick<Footer, 'cylinders' | 'heads' | 'sectorsPerTrack'>): number | undefined {
  const sectors = footer.cylinders * footer.heads * footer.sectorsPerTrack;
  return sectors === LARGEST_GEOMETRY || sectors === 0 ? undefined : sectors * SECTOR;
}

/** What a person should know about a disk by its footer, although it can be read. */
export function footerWarnings(footer: Footer): string[] {
  const warnings: string[] = [];
  const byGeometry = geometrySize(footer);
  if (sizedByGeometry(footer.creatorApplication) && byGeometry !== undefined && byGeometry !== footer.size) {
    warnings.push(
      `the disk has ${footer.size} bytes; QEMU takes ${byGeometry} of a disk of this creator, by its cylinders, heads and sectors`,
    );
  }
  if (footer.poisoned) warnings.push('blktap has marked the disk as disabled; its host should not use it');
  if (footer.savedState)
    warnings.push('the disk belongs to a machine that was suspended, and may lack what is in its memory');
  return warnings;
}
