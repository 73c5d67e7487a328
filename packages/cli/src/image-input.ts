import type { Readable } from 'node:stream';
import { isAbsolute, resolve } from 'node:path';
import {
  bytesOf,
  compressionOfFile,
  DefinitionError,
  expand,
  type ImageFile,
  openImageFile,
  type ReadOptions,
  stage,
} from '@polyvisor/core';
import type { ImageOptions } from './image-options.js';
import { workRoot } from './places.js';
import type { Session } from './session.js';

/** What stands for standard input, and for standard output, on the command line. */
export const STDIN = '-';

/** A path as it is when that works, so that messages show what was given. */
export function locate({ io }: Session, path: string): string {
  return isAbsolute(path) || io.cwd === process.cwd() ? path : resolve(io.cwd, path);
}

export function stdinTwice(): DefinitionError {
  return new DefinitionError('stdin-twice', 'standard input can be only one image', { hint: 'name files' });
}

/** What an image consists of. */
export interface ImageBytes {
  readonly file: ImageFile;
  /** Whether it is what lies at the path, neither expanded nor from a pipe. */
  readonly standalone: boolean;
}

/**
 * Opens the bytes of an image: a file or a device as it is, one that is compressed and standard input expanded. All that is opened
 * is given to `own`, in the order of opening.
 */
export async function openBytes(
  session: Session,
  path: string,
  options: Pick<ImageOptions, 'expand' | 'workDir'>,
  own: <T extends AsyncDisposable>(resource: T) => T,
): Promise<ImageBytes> {
  if (path === STDIN) return { file: own(await openExpanded(session, path, undefined, options)), standalone: false };
  const file = own(await openImageFile(locate(session, path)));
  if (options.expand === false || (await compressionOfFile(file)) === undefined) return { file, standalone: true };
  return { file: own(await openExpanded(session, path, file, options)), standalone: false };
}

/** Expands a file, or standard input without one, into a temporary file: formats need to seek. The caller disposes it. */
async function openExpanded(
  session: Session,
  path: string,
  file: ImageFile | undefined,
  { workDir }: Pick<ImageOptions, 'workDir'>,
): Promise<ImageFile> {
  const { emit, signal } = session;
  const title = file === undefined ? 'reading standard input' : `expanding ${path}`;
  const name = `read ${path}`;
  return await stage(emit, name, title, async () =>
    expand(file === undefined ? standardInput(session) : bytesOf(file, signal), {
      ...(await expandOptions(session, file === undefined ? 'standard input' : path, workDir)),
      onProgress: (done) => emit({ type: 'progress', stage: name, done, total: file?.size ?? 0, unit: 'bytes' }),
    }),
  );
}

/** The same service for parts of an image, as readers get it. */
export function expander(
  session: Session,
  path: string,
  { workDir }: Pick<ImageOptions, 'workDir'>,
): NonNullable<ReadOptions['expand']> {
  return async (bytes, size) => expand(bytes, { ...(await expandOptions(session, path, workDir)), size });
}

async function expandOptions(session: Session, path: string, workDir: string | undefined) {
  const { io, signal } = session;
  const directory = workDir === undefined ? workRoot(io.env) : resolve(io.cwd, workDir);
  return { directory, path, signal, programs: (await session.host()).context('input') };
}

/** Ends when the run does: a read from a pipe that nobody writes to would last for ever. */
async function* standardInput({ io, signal }: Session): AsyncGenerator<Uint8Array> {
  const { stdin } = io;
  if (stdin === undefined || (stdin as Readable & { isTTY?: boolean }).isTTY === true) {
    throw new DefinitionError('stdin-terminal', 'standard input is a terminal, not an image', {
      hint: 'pipe the image in, or name a file',
    });
  }
  const stop = () => stdin.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const part of stdin) yield part as Uint8Array;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
