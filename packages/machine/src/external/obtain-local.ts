import { stat } from 'node:fs/promises';
import { ioError, PolyvisorError } from '@polyvisor/core';
import { type Checksum, formatChecksum } from './checksum.js';
import type { FileCache } from './file-cache.js';
import type { Refusal } from './refusal.js';

/** What came of one location. */
export type Outcome = { readonly path: string; readonly checksum: string } | Omit<Refusal, 'location'>;

/** Takes a file of this machine where it is, if its checksum is right. It is never changed or removed. */
export async function obtainLocal(
  path: string,
  wanted: Checksum | undefined,
  cache: FileCache,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    if (!(await stat(path)).isFile()) return { reason: 'this is no plain file' };
    const found = await cache.checksum(path, wanted?.algorithm ?? 'sha256', signal);
    if (wanted === undefined || found.hex === wanted.hex) return { path, checksum: formatChecksum(found) };
    return { reason: wrongChecksum(wanted, found), found };
  } catch (error) {
    signal.throwIfAborted();
    const known = ioError(error, 'it cannot be read');
    if (known instanceof PolyvisorError) return { reason: known.message };
    throw error;
  }
}

/** Says what was expected and what was found. */
export function wrongChecksum(wanted: Checksum, found: Checksum): string {
  return `this is another file (expected ${formatChecksum(wanted)}, found ${formatChecksum(found)})`;
}
