import { createLogger, type Emit, type ExternalFile } from '@polyvisor/core';
import { parseChecksum } from './checksum.js';
import { FileCache } from './file-cache.js';
import { obtainLocal } from './obtain-local.js';
import { obtainRemote } from './obtain-remote.js';
import { offlineMissing, type Refusal, unobtainable } from './refusal.js';
import { localPath, withoutSecrets } from './locations.js';

export interface ObtainOptions {
  /** Downloads with a checksum are kept here, shared with other runs. */
  readonly cacheDir: string;
  /** Downloads with checksum `none` go here; exists, and is removed by the caller. */
  readonly workDir: string;
  /** Only the cache and local files. */
  readonly offline: boolean;
  /** Of the events; default `download`. */
  readonly stage?: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Variables that may name proxies; default: those of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** How long nothing may come before a connection is given up, in milliseconds; default a minute. */
  readonly patience?: number;
  /** Before the first repetition, doubled for each further one, in milliseconds; default a second. */
  readonly pause?: number;
}

/** A file that is there, with the right checksum. It is only to be read: others use it too. */
export interface ObtainedFile {
  readonly path: string;
  /** `sha256:…` or `sha512:…`, as asked for; of a file with `none`, the SHA-256 that it has. */
  readonly checksum: string;
  /** Where it was found, for messages. */
  readonly location: string;
}

/**
 * Finds a file in the cache or at the first of its locations that has it. Local files are used in place. Throws
 * `file-unobtainable` with the reason of every location, `checksum-wrong` where every one of them has another file, or
 * `offline-missing`.
 */
export async function obtainFile(file: ExternalFile, options: ObtainOptions): Promise<ObtainedFile> {
  const { signal } = options;
  signal.throwIfAborted();
  const wanted = parseChecksum(file.checksum);
  const log = createLogger(options.emit, options.stage ?? 'download');
  const cache = new FileCache(options.cacheDir, log);
  const cached = wanted && (await cache.find(wanted, signal));
  if (cached !== undefined) return { path: cached, checksum: file.checksum, location: 'the cache' };

  const refusals: Refusal[] = [];
  for (const location of file.locations) {
    signal.throwIfAborted();
    const shown = withoutSecrets(location);
    const path = localPath(location);
    if (path === undefined && options.offline) continue;
    const outcome =
      path === undefined
        ? await obtainRemote(location, wanted, cache, log, options)
        : await obtainLocal(path, wanted, cache, signal);
    if ('path' in outcome) return { ...outcome, location: shown };
    refusals.push({ location: shown, ...outcome });
    log.warn(`${shown}: ${outcome.reason}`);
  }
  throw options.offline ? offlineMissing(file, refusals) : unobtainable(file, refusals);
}
