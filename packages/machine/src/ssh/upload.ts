import { randomBytes } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { DefinitionError, GuestError } from '@polyvisor/core';
import type { ExecOptions, Guest, UploadOptions } from './guest.js';
import { resolveOwner } from './owner.js';
import { readFileBytes } from './tree.js';
import { uploadTree } from './upload-tree.js';

/** In milliseconds: for the steps that move no bytes, and as long as nothing moves. */
const STALLED = 300_000;

/** What an upload needs of a guest: its shell. That works with every SSH server, as root too, which SFTP does not. */
export interface Upload {
  readonly guest: Guest;
  readonly from: string;
  readonly to: string;
  /** Numbers of the guest; undefined where the guest has none to give, and where files are those of whoever writes them. */
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly mode: number | undefined;
  /** Not known to anybody, for names that only we use. */
  readonly nonce: string;
  readonly signal: AbortSignal;
  /** Runs a script as root, with a limit for the time in which nothing moves. */
  run(script: string, options?: ExecOptions): Promise<void>;
  /** Passes bytes on and counts them. */
  counted(bytes: AsyncIterable<Uint8Array>, total: number): AsyncGenerator<Uint8Array>;
}

/** Copies a file or a tree into the guest. A link that is named itself is followed, one within a tree never. */
export async function uploadToGuest(
  guest: Guest,
  from: string,
  to: string,
  options: UploadOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const { mode, signal } = options;
  signal.throwIfAborted();
  if (!to.startsWith('/') || to.includes('\0')) throw new Error(`not an absolute path of the guest: ${to}`);
  const source = await realpath(from).catch((cause: unknown) => {
    throw new DefinitionError('file-missing', `there is no ${from}, which is to be copied to ${to}`, { cause });
  });
  const stats = await stat(source);
  const owner = await resolveOwner(guest, options.owner ?? 'root', to, signal);
  const nonce = randomBytes(8).toString('hex');
  const upload = await startUpload(
    { guest, from: source, to: to.replace(/(.)\/+$/, '$1'), owner, mode, nonce },
    options,
  );
  if (stats.isDirectory()) return uploadTree(upload);
  if (stats.isFile()) return uploadFile(upload, stats.size, mode ?? stats.mode & 0o7755);
  throw new DefinitionError('input-special', `${from} is a device, a socket or a pipe, which cannot be copied`, {
    hint: 'name a file or a directory',
  });
}

async function startUpload(
  base: Omit<Upload, 'run' | 'counted' | 'signal'>,
  { signal, timeout = STALLED, onProgress }: UploadOptions & { readonly signal: AbortSignal },
): Promise<Upload> {
  let moved = performance.now();
  let done = 0;
  const { guest, from, to } = base;
  return {
    ...base,
    signal,
    counted: async function* (bytes, total) {
      for await (const piece of bytes) {
        moved = performance.now();
        yield piece;
        done += piece.length;
        onProgress?.(done, total);
      }
      moved = performance.now();
    },
    run: async (script, options = {}) => {
      moved = performance.now();
      const stalled = new AbortController();
      const watch = setInterval(
        () => {
          if (performance.now() - moved > timeout) {
            stalled.abort(
              new GuestError(
                'upload-stalled',
                `${from} does not get into the guest: nothing moved for ${timeout / 1000} s`,
              ),
            );
          }
        },
        Math.min(1000, timeout / 2),
      );
      try {
        await guest.exec(script, {
          root: true,
          purpose: `copying ${from} to ${to}`,
          ...options,
          signal: AbortSignal.any([signal, stalled.signal]),
        });
      } finally {
        clearInterval(watch);
      }
    },
  };
}

/**
 * Appears under its name whole or not at all; a link of that name is replaced, not followed. `$1` path, `$2` temporary name,
 * `$3` size, `$4` mode, `$5` owner.
 */
const WRITE_FILE = `
set -eu
if [ -d "$1" ]; then echo "$1 is a directory in the guest" >&2; exit 1; fi
parent=\${1%/*}/
umask 022
mkdir -p -- "$parent"
temporary=$parent$2
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 1' HUP INT TERM
umask 077
set -C
cat >"$temporary"
size=$(wc -c <"$temporary")
if [ "$((size))" -ne "$3" ]; then echo "only $((size)) of $3 bytes arrived" >&2; exit 1; fi
chown "$5" "$temporary"
chmod "$4" "$temporary"
mv -f -- "$temporary" "$1"
trap - EXIT
`;

async function uploadFile(upload: Upload, size: number, mode: number): Promise<void> {
  const { to, nonce, owner } = upload;
  await upload.run(WRITE_FILE, {
    arguments: [to, `.polyvisor-${nonce}`, String(size), mode.toString(8), `${owner.uid}:${owner.gid}`],
    input: upload.counted(readFileBytes(upload.from, size), size),
  });
}
