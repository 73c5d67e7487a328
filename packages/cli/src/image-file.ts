import type { DiskConverter, DiskSource, ImageFile } from '@polyvisor/core';
import { openImage, owningDisk } from './image.js';
import { expander, locate, openBytes, STDIN } from './image-input.js';
import type { ImageOptions } from './image-options.js';
import type { Session } from './session.js';

/** A file whose format is known, and which nobody has opened as a disk: it may be too damaged for that. */
export interface RecognisedFile extends AsyncDisposable {
  /** As the user gave it. */
  readonly path: string;
  /** The same for this process, wherever the run's folder is. */
  readonly location: string;
  /** Of a compressed image the expanded bytes. */
  readonly file: ImageFile;
  /** Whether `file` is what lies at `location`, neither expanded nor from a pipe. */
  readonly standalone: boolean;
  readonly converter: DiskConverter;
  /** What is odd about its format or its name. */
  readonly notes: readonly string[];
}

/** Opens a file and finds its format: the first one of the options, or the one that its content shows. */
export async function recogniseFile(session: Session, path: string, options: ImageOptions): Promise<RecognisedFile> {
  const host = await session.host();
  const location = locate(session, path);
  const owned: AsyncDisposable[] = [];
  const own = <T extends AsyncDisposable>(resource: T): T => {
    owned.unshift(resource);
    return resource;
  };
  const dispose = async () => {
    for (const one of owned.splice(0)) await one[Symbol.asyncDispose]();
  };
  try {
    const { file, standalone } = await openBytes(session, path, options, own);
    const { converter, notes } = await host.recognise(file, options.from?.[0]);
    return { path, location, file, standalone, converter, notes, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * Opens the disk in a recognised file. Parents and a choice among several disks need the image to be opened from its name, which a
 * pipe does not allow a second time.
 */
export async function openDisk(
  session: Session,
  { path, file, converter }: Pick<RecognisedFile, 'path' | 'file' | 'converter'>,
  options: ImageOptions,
): Promise<DiskSource> {
  const further = (options.parent ?? []).length > 0 || options.disk !== undefined;
  if (!further || path === STDIN)
    return (await converter.open(file, { expand: expander(session, path, options) })).disk;
  const { from = [converter.id] } = options;
  return owningDisk(await openImage(session, path, { ...options, from }));
}
