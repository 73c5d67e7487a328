import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EnvironmentError, formatBytes } from '@polyvisor/core';
import type { HttpAnswer, HttpClient } from './http-client.js';
import { networkFailure } from './network-reason.js';
import type { PartFile } from './part-file.js';
import { Stalled, watchSpeed } from './speed-watch.js';

/** No file of an installation is longer; a server that never stops is not to fill the disk. */
const LONGEST = 128 * 1024 ** 3;

/** How one request ended. */
export type TransferEnd =
  | { readonly kind: 'whole' }
  /** `again`: the next request may go on. */
  | { readonly kind: 'failed'; readonly reason: string; readonly again: boolean };

export interface TransferOptions {
  /** What the server called this version of the file; kept from one request to the next, so that two are never mixed. */
  readonly version: { current?: string };
  readonly patience: number;
  readonly signal: AbortSignal;
  /** Told after every piece: bytes so far, and of the whole if that is known. */
  readonly onProgress: (done: number, total: number | undefined) => void;
}

/** Asks once for what a part still lacks, and appends it. */
export async function transfer(
  client: HttpClient,
  url: URL,
  part: PartFile,
  options: TransferOptions,
): Promise<TransferEnd> {
  using watch = watchSpeed(options.patience, options.signal);
  const start = part.length;
  const { current } = options.version;
  const condition: Record<string, string> = current === undefined ? {} : { 'if-range': current };
  const range: Record<string, string> = start > 0 ? { range: `bytes=${start}-`, ...condition } : {};
  // Compressed on the way, a part could not be resumed, and some servers unpack `.gz` files for those who take it.
  const headers = { 'user-agent': 'polyvisor', 'accept-encoding': 'identity', ...range };
  let answer: HttpAnswer | undefined;
  try {
    answer = await client.get(url, headers, watch.signal);
    const total = await begin(answer, part);
    if (typeof total === 'object') return total;
    const version = versionOf(answer);
    if (version === undefined) delete options.version.current;
    else options.version.current = version;
    await checkSpace(part, total);
    for await (const bytes of answer.body) {
      watch.count(bytes.length);
      if (part.length + bytes.length > (total ?? LONGEST))
        return failed('the server sends more than it had said', false);
      await part.append(bytes);
      options.onProgress(part.length, total);
    }
    const short = total !== undefined && part.length < total;
    return short ? failed(`the connection ended after ${part.length} of ${total} bytes`, true) : { kind: 'whole' };
  } catch (error) {
    options.signal.throwIfAborted();
    const stalled = watch.signal.reason as unknown;
    if (stalled instanceof Stalled) return failed(`the server is too slow: ${stalled.message}`, true);
    const failure = networkFailure(error);
    if (failure === undefined) throw error;
    return failed(failure.reason, failure.again);
  } finally {
    answer?.body.destroy();
  }
}

/** Reads the status: bytes of the whole file (undefined if not told), or how the request ended. */
async function begin(answer: HttpAnswer, part: PartFile): Promise<number | undefined | TransferEnd> {
  const { status } = answer;
  const length = /^\d{1,15}$/.test(answer.header('content-length') ?? '')
    ? Number(answer.header('content-length'))
    : undefined;
  if (answer.header('content-encoding') !== undefined && answer.header('content-encoding') !== 'identity')
    return failed('the server sends it compressed although that was not asked for', false);
  if (status === 200) {
    // It does not resume, or the file changed: what we have is of no use.
    if (part.length > 0) await part.reset();
    return length;
  }
  if (status === 206) {
    const [, from, total] =
      /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(answer.header('content-range') ?? '') ?? [];
    if (part.length > 0 && Number(from) === part.length)
      return total === '*' ? (length === undefined ? undefined : part.length + length) : Number(total);
    await part.reset();
    return failed('the server sent another part than was asked for', true);
  }
  if (status === 416 && part.length > 0) {
    // Complete already, if the server says so; else longer than the file is there.
    const [, total] = /^bytes \*\/(\d{1,15})$/.exec(answer.header('content-range') ?? '') ?? [];
    if (Number(total) === part.length) return { kind: 'whole' };
    await part.reset();
    return failed('the file there is shorter than what was downloaded before', true);
  }
  return failed(statusReason(status), status === 408 || status === 429 || status >= 500);
}

/** A validator that If-Range takes (RFC 9110 §13.1.5); weak ones say nothing about bytes. */
function versionOf(answer: HttpAnswer): string | undefined {
  const tag = answer.header('etag');
  return tag === undefined || tag.startsWith('W/') ? undefined : tag;
}

function statusReason(status: number): string {
  if (status === 404 || status === 410) return `there is no such file any more (HTTP status ${status})`;
  if (status === 401 || status === 403) return `the server does not let us have it (HTTP status ${status})`;
  if (status === 407) return 'the proxy wants a user and a password (HTTP status 407)';
  return `the server answers with HTTP status ${status}`;
}

function failed(reason: string, again: boolean): TransferEnd {
  return { kind: 'failed', reason, again };
}

async function checkSpace(part: PartFile, total: number | undefined): Promise<void> {
  if (total === undefined) return;
  const directory = dirname(part.path);
  const { bavail, bsize } = await statfs(directory);
  const missing = total - part.length - bavail * bsize;
  if (missing > 0)
    throw new EnvironmentError(
      'space-missing',
      `the download has ${formatBytes(total)}, of which ${formatBytes(total - part.length)} are still to come, and ${directory} has room for ${formatBytes(bavail * bsize)}`,
      { hint: 'free some space, or choose another cache directory with --cache-dir' },
    );
}
