import { stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import {
  DefinitionError,
  type DiskConverter,
  type DiskSource,
  type ImageFacts,
  type ImageFile,
  openImageFile,
} from '@polyvisor/core';
import type { Session } from './session.js';

/** An image opened through the converter of its format. */
export interface Image extends AsyncDisposable {
  /** As the user gave it. */
  readonly path: string;
  readonly file: ImageFile;
  readonly converter: DiskConverter;
  readonly disk: DiskSource;
  readonly facts: ImageFacts;
}

/** Opens an image. Its format is `from`, or the one that its content shows. */
export async function openImage(session: Session, path: string, from?: string): Promise<Image> {
  if (path === '-') {
    throw new DefinitionError('image-from-stdin', 'an image cannot be read from standard input: formats need to seek', {
      hint: 'write it to a file first',
    });
  }
  const host = await session.host();
  const file = await openImageFile(locate(session, path));
  try {
    const converter = await host.detect(file, from);
    const { disk, facts } = await converter.open(file);
    return {
      path,
      file,
      converter,
      disk,
      facts,
      [Symbol.asyncDispose]: async () => {
        await disk[Symbol.asyncDispose]();
        await file[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Bytes that a file takes up on its file system. */
export async function storedSize(session: Session, path: string): Promise<number> {
  return (await stat(locate(session, path))).blocks * 512; // st_blocks counts in 512 bytes everywhere
}

/** A path as it is when that works, so that messages show what was given. */
function locate({ io }: Session, path: string): string {
  return isAbsolute(path) || io.cwd === process.cwd() ? path : resolve(io.cwd, path);
}
