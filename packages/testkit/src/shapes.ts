import { type MemoryDisk, memoryDisk, noise, texture } from './memory.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** A disk that breaks a writer in its own way. Made anew for each use, because a disk counts its reads. */
export interface Shape {
  readonly name: string;
  make(): MemoryDisk;
}

/** The disks that every converter is tried on. At most 1 GiB apparent, so that hashing them stays quick. */
export const shapes: readonly Shape[] = [
  { name: 'all zero', make: () => memoryDisk(8 * MiB, []) },
  { name: 'first sector only', make: () => memoryDisk(8 * MiB, [{ offset: 0, bytes: noise(512) }]) },
  { name: 'last sector only', make: () => memoryDisk(8 * MiB, [{ offset: 8 * MiB - 512, bytes: noise(512, 2) }]) },
  {
    name: 'full, of an odd size',
    make: () => memoryDisk(5 * MiB + 3 * 512, [{ offset: 0, bytes: texture(5 * MiB + 3 * 512, 3) }]),
  },
  {
    name: 'zeros inside data',
    make: () => {
      const bytes = noise(4 * MiB, 4);
      bytes.fill(0, 64 * KiB, 128 * KiB);
      bytes.fill(0, 1 * MiB + 4 * KiB, 3 * MiB + 512);
      return memoryDisk(8 * MiB, [{ offset: 1 * MiB, bytes }]);
    },
  },
  {
    name: 'pieces far apart',
    make: () =>
      memoryDisk(1 * GiB, [
        { offset: 0, bytes: texture(70 * KiB, 5) },
        { offset: 512 * MiB + 4 * KiB, bytes: texture(3 * MiB, 6) },
        { offset: 1 * GiB - 4 * KiB, bytes: noise(4 * KiB, 7) },
      ]),
  },
];

/** The three that break most writers: for what is too slow to try with all. */
export const telling: readonly Shape[] = shapes.slice(-3);
