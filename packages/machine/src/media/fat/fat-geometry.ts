import { mediumInvalid } from '../laid-image.js';

export const SECTOR = 512;

/** Bytes of a directory entry. */
export const ENTRY = 32;

/** Sectors before the first table: the boot sector alone. */
const RESERVED = 1;
const TABLES = 2;

/** The size of a floppy disk of 3.5 inches, below which nothing is gained. */
const SMALLEST = 2880;
const MEBIBYTE = 2048;

/** How a FAT file system is divided; lengths in sectors. */
export interface FatGeometry {
  readonly bits: 12 | 16;
  readonly sectorsPerCluster: number;
  readonly total: number;
  readonly reserved: number;
  readonly tables: number;
  readonly tableLength: number;
  /** Entries of the root directory, which lies before the clusters and cannot grow. */
  readonly rootEntries: number;
  readonly rootStart: number;
  readonly dataStart: number;
  readonly clusters: number;
}

// The number of clusters alone says whether a file system is FAT12 (fewer than 4085) or FAT16 (fewer than 65525). Some readers
// count a few too many or too few, so we stay 16 away from both.
const KINDS = [
  { bits: 12, sectorsPerCluster: 1, fewest: 1, most: 4068 },
  { bits: 12, sectorsPerCluster: 4, fewest: 1, most: 4068 },
  { bits: 16, sectorsPerCluster: 4, fewest: 4101, most: 65508 },
  { bits: 16, sectorsPerCluster: 16, fewest: 4101, most: 65508 },
] as const;

/** The smallest file system that has the clusters which `needed` says for a number of bytes a cluster, and some room. */
export function fatGeometry(needed: (bytesPerCluster: number) => number, rootEntries: number): FatGeometry {
  for (const kind of KINDS) {
    const wanted = Math.max(kind.fewest, needed(kind.sectorsPerCluster * SECTOR));
    if (wanted > kind.most) continue;
    for (let total = SMALLEST; ; total = (Math.floor(total / MEBIBYTE) + 1) * MEBIBYTE) {
      const geometry = divide(total, kind.bits, kind.sectorsPerCluster, rootEntries);
      if (geometry.clusters > kind.most) break;
      if (geometry.clusters >= wanted) return geometry;
    }
  }
  throw mediumInvalid('the files are too large for a FAT16 file system', 'choose `iso`, or offer them over HTTP');
}

function divide(total: number, bits: 12 | 16, sectorsPerCluster: number, rootEntries: number): FatGeometry {
  const rootLength = (rootEntries * ENTRY) / SECTOR;
  let tableLength = 1;
  for (;;) {
    const rootStart = RESERVED + TABLES * tableLength;
    const dataStart = rootStart + rootLength;
    const clusters = Math.floor((total - dataStart) / sectorsPerCluster);
    // Two entries at the beginning stand for no cluster.
    const enough = Math.ceil(((clusters + 2) * bits) / 8 / SECTOR);
    if (enough <= tableLength)
      return {
        bits,
        sectorsPerCluster,
        total,
        reserved: RESERVED,
        tables: TABLES,
        tableLength,
        rootEntries,
        rootStart,
        dataStart,
        clusters,
      };
    tableLength++;
  }
}
