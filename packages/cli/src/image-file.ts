import { isAbsolute, resolve } from 'node:path';
import { DefinitionError, type DiskConverter, type ImageFile, openImageFile } from '@polyvisor/core';
import type { Session } from './session.js';

/** A file whose format is known, and which nobody has opened as a disk: it may be too damaged for that. */
export interface RecognisedFile extends AsyncDisposable {
  /** As the user gave it. */
  readonly path: string;
  /** The same for this process, wherever the run's folder is. */
  readonly location: string;
  readonly file: ImageFile;
  readonly converter: DiskConverter;
  /** What is odd about its format or its name. */
  readonly notes: readonly string[];
}

/** Opens a file and finds its format: `from`, or the one that its content shows. */
export async function recogniseFile(session: Session, path: string, from?: string): Promise<RecognisedFile> {
  if (path === '-') {
    throw new DefinitionError('image-from-stdin', 'an image cannot be read from standard input: formats need to seek', {
      hint: 'write it to a file first',
    });
  }
  const host = await session.host();
  const location = locate(session, path);
  const file = await openImageFile(location);
  try {
    const { converter, notes } = await host.recognise(file, from);
    return { path, location, file, converter, notes, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** A path as it is when that works, so that messages show what was given. */
export function locate({ io }: Session, path: string): string {
  return isAbsolute(path) || io.cwd === process.cwd() ? path : resolve(io.cwd, path);
}
