import { ENTRY } from './fat-geometry.js';
import type { FatName } from './fat-names.js';

export const VOLUME_LABEL = 0x08;
export const DIRECTORY = 0x10;
export const ARCHIVE = 0x20;

/** Marks an entry as a part of a long name. */
const LONG_NAME = 0x0f;

/** Characters of a long name in one entry, and where each of them is. */
const PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/** One entry. `time` in seconds since 1970. */
export function directoryEntry(short: Buffer, kind: number, cluster: number, length: number, time: number): Buffer {
  const bytes = Buffer.alloc(ENTRY);
  short.copy(bytes);
  bytes[11] = kind;
  const { day, clock } = dosTime(time);
  if (kind !== VOLUME_LABEL) {
    bytes.writeUInt16LE(clock, 14);
    bytes.writeUInt16LE(day, 16);
    bytes.writeUInt16LE(day, 18);
  }
  bytes.writeUInt16LE(clock, 22);
  bytes.writeUInt16LE(day, 24);
  bytes.writeUInt16LE(cluster, 26);
  bytes.writeUInt32LE(length, 28);
  return bytes;
}

/** How many entries a name takes, its own included. */
export function entriesOf(name: FatName): number {
  return 1 + (name.long === undefined ? 0 : Math.ceil(name.long.length / PLACES.length));
}

/** The entries of a long name, which stand before the one that they name, the end of the name first. */
export function longNameEntries(name: FatName): Buffer {
  const { long, short } = name;
  if (long === undefined) return Buffer.alloc(0);
  const count = entriesOf(name) - 1;
  const parts: Buffer[] = [];
  for (let number = count; number >= 1; number--) {
    const bytes = Buffer.alloc(ENTRY);
    bytes[0] = number | (number === count ? 0x40 : 0);
    bytes[11] = LONG_NAME;
    bytes[13] = checksum(short);
    PLACES.forEach((place, n) => {
      const at = (number - 1) * PLACES.length + n;
      // After its end one zero, then ones.
      bytes.writeUInt16LE(at < long.length ? long.charCodeAt(at) : at === long.length ? 0 : 0xffff, place);
    });
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** Ties a long name to its short one. */
function checksum(short: Buffer): number {
  return short.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}

/** Days count from 1980, seconds in twos; what lies outside becomes the nearest. */
function dosTime(seconds: number): { day: number; clock: number } {
  const date = new Date(Math.min(4_354_819_198, Math.max(315_532_800, seconds)) * 1000);
  return {
    day: ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate(),
    clock: (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1),
  };
}
