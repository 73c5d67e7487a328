import { createHash } from 'node:crypto';
import type { ByteSource } from './disk.js';

/** Seconds from the Unix epoch to 2000-01-01T00:00:00Z, the zero of VHD's clock. */
export const UNIX_SECONDS_OF_2000 = 946_684_800;

/**
 * Everything that other tools take from a clock or a random generator, derived from a seed instead: the same seed and
 * purpose give the same value, on every machine.
 */
export interface Identity {
  /** What the rest is derived from, as hexadecimal digits. */
  readonly seed: string;
  /** Seconds since the Unix epoch, for every time that a format stores. Never the present. */
  readonly time: number;
  /** `length` bytes, at most 32, for the named purpose. */
  bytes(purpose: string, length: number): Uint8Array;
  /** A UUID (version 8: its bits are ours) for the named purpose, in lower case. Never null. */
  uuid(purpose: string): string;
}

export function createIdentity(seed: string, time = 0): Identity {
  const bytes = (purpose: string, length: number): Uint8Array =>
    new Uint8Array(createHash('sha256').update(seed).update('\0').update(purpose).digest().subarray(0, length));
  return {
    seed,
    time,
    bytes,
    uuid: (purpose) => {
      const raw = bytes(purpose, 16);
      raw[6] = ((raw[6] ?? 0) & 0x0f) | 0x80; // version 8, RFC 9562 §5.8
      raw[8] = ((raw[8] ?? 0) & 0x3f) | 0x80; // variant
      const hex = Buffer.from(raw).toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    },
  };
}

const SAMPLE = 4096;
const SAMPLES = 256;
const HEAD = 64 * 1024;

/**
 * A seed that depends on what a disk holds and on nothing else, so that equal disks get equal identities and different
 * ones (almost surely) different ones: their size, their first 64 KiB (partition table, with its own UUIDs) and 256 samples.
 * Reading everything would take a second pass.
 */
export async function seedOf(disk: ByteSource): Promise<string> {
  const hash = createHash('sha256').update(`polyvisor disk ${disk.size}\0`);
  const head = new Uint8Array(Math.min(HEAD, disk.size));
  await disk.read(head, 0);
  hash.update(head);
  const sample = new Uint8Array(SAMPLE);
  for (let n = 1; n <= SAMPLES && disk.size > HEAD + SAMPLE; n++) {
    await disk.read(sample, Math.floor(((disk.size - SAMPLE) * n) / SAMPLES / SAMPLE) * SAMPLE);
    hash.update(sample);
  }
  return hash.digest('hex');
}
