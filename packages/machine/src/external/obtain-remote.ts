import { setTimeout as sleep } from 'node:timers/promises';
import { EnvironmentError, type Logger, makeDirectory } from '@polyvisor/core';
import { type Checksum, formatChecksum } from './checksum.js';
import { downloadProgress } from './download-progress.js';
import type { FileCache } from './file-cache.js';
import { type HttpClient, openHttpClient } from './http-client.js';
import { withoutSecrets } from './locations.js';
import type { ObtainOptions } from './obtain-file.js';
import { type Outcome, wrongChecksum } from './obtain-local.js';
import { PartFile, removeStaleParts } from './part-file.js';
import { transfer, type TransferEnd } from './transfer.js';

/** Requests in a row that bring nothing new, and requests for one file at all. */
const FRUITLESS = 5;
const MOST_REQUESTS = 200;

/** Progress that counts as such, in bytes. */
const WORTHWHILE = 64 * 1024;

const PATIENCE = 60_000;
const PAUSE = 1000;

let nameless = 0;

/** Downloads one location: into the cache where there is a checksum, into the work directory otherwise. */
export async function obtainRemote(
  location: string,
  wanted: Checksum | undefined,
  cache: FileCache,
  log: Logger,
  options: ObtainOptions,
): Promise<Outcome> {
  const url = URL.canParse(location) ? new URL(location) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return { reason: 'this is no absolute path, and no address that begins with http:, https: or file:' };
  const directory = wanted === undefined ? options.workDir : cache.directory;
  await makeDirectory(directory);
  await removeStaleParts(directory);
  await using client = await openHttpClient(options.environment ?? process.env, options.patience ?? PATIENCE);
  const key = wanted === undefined ? `download-${++nameless}` : `${wanted.algorithm}-${wanted.hex}`;
  const part = await PartFile.open(directory, key, wanted?.algorithm ?? 'sha256', options.signal);
  try {
    const target = wanted === undefined ? part.path.replace(/\.part$/, '') : cache.path(wanted);
    return await download({ client, url, part, wanted, target, log, options });
  } catch (error) {
    // On a full disk a part would keep others from finishing.
    if (error instanceof EnvironmentError && error.code === 'disk-full') await part.remove();
    throw error;
  } finally {
    await part.close();
  }
}

interface Download {
  readonly client: HttpClient;
  readonly url: URL;
  readonly part: PartFile;
  readonly wanted: Checksum | undefined;
  readonly target: string;
  readonly log: Logger;
  readonly options: ObtainOptions;
}

async function download(job: Download): Promise<Outcome> {
  const { url, part, wanted, target, log } = job;
  const shown = withoutSecrets(url.href);
  let inherited = part.length > 0;
  if (inherited) log.info(`${shown}: goes on after ${part.length} bytes of an earlier download`);
  for (;;) {
    const end = await transferAll(job, shown);
    if (end.kind === 'failed') return { reason: end.reason };
    const found = part.checksum();
    if (wanted === undefined || found.hex === wanted.hex) {
      await part.publish(target);
      return { path: target, checksum: formatChecksum(found) };
    }
    if (!inherited) {
      await part.remove();
      return { reason: wrongChecksum(wanted, found), found };
    }
    // The fault may lie in what an earlier run left, or what another location gave.
    log.warn(`${shown}: what was resumed has the wrong checksum; it is downloaded anew`);
    inherited = false;
    await part.reset();
  }
}

/** Asks again and again, as long as that brings something. */
async function transferAll(job: Download, shown: string): Promise<TransferEnd> {
  const { client, url, part, wanted, log, options } = job;
  const { signal, patience = PATIENCE, pause = PAUSE } = options;
  const onProgress = downloadProgress(options.emit, options.stage ?? 'download', shown);
  const version: { current?: string } = {};
  let furthest = part.length;
  let fruitless = 0;
  for (let requests = 1; ; requests++) {
    const end = await transfer(client, url, part, { version, patience, signal, onProgress });
    if (end.kind === 'whole' || !end.again) return end;
    fruitless = part.length >= furthest + WORTHWHILE ? 1 : fruitless + 1;
    furthest = Math.max(furthest, part.length);
    if (fruitless >= FRUITLESS || requests >= MOST_REQUESTS)
      return { ...end, reason: `${end.reason}, ${requests} times` };
    // No checksum will tell whether the rest belongs to what we have.
    if (wanted === undefined && version.current === undefined) await part.reset();
    const wait = pause * 2 ** (fruitless - 1);
    log.info(`${shown}: ${end.reason}; it is tried again in ${wait / 1000} s, from byte ${part.length} on`);
    await sleep(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
