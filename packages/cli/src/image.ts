import { stat } from 'node:fs/promises';
import {
  DefinitionError,
  type DiskConverter,
  type DiskSource,
  type ImageFacts,
  type ImageFile,
  type OpenImage,
  type ParentImage,
} from '@polyvisor/core';
import type { ImageOptions } from './image-options.js';
import { expander, locate, openBytes, STDIN, stdinTwice } from './image-input.js';
import type { Session } from './session.js';

/** An image opened through the converter of its format. */
export interface Image extends AsyncDisposable {
  /** As the user gave it. */
  readonly path: string;
  /** The image itself: of a compressed one the expanded bytes. */
  readonly file: ImageFile;
  readonly converter: DiskConverter;
  /** All that the converter tells. */
  readonly opened: OpenImage;
  readonly disk: DiskSource;
  readonly facts: ImageFacts;
  /** The file at `path`, as it is, is all of the image: neither a pipe nor compressed, and no parent was given. */
  readonly standalone: boolean;
}

/** The longest chain of parents. Each costs an open file and its tables. */
const PARENTS = 64;

/**
 * Opens an image: a file, a block device or standard input (`-`), which may be compressed, and the parents that the user
 * names. Its format is that of the options, or the one that its content shows.
 */
export async function openImage(session: Session, path: string, options: ImageOptions): Promise<Image> {
  const { from: formats = [], parent = [], ...rest } = options;
  const paths = [path, ...parent];
  refuseUnusable(paths, formats);
  const owned: AsyncDisposable[] = [];
  try {
    let image: Opened | undefined;
    // From the far end: each image is opened with the one behind it.
    for (const [index, one] of [...paths.entries()].reverse()) {
      const choice = { ...rest, disk: index === 0 ? rest.disk : undefined, from: formats[index] };
      image = await openOne(session, one, choice, image, owned);
    }
    return { ...(image as Opened), [Symbol.asyncDispose]: () => disposeAll(owned) };
  } catch (error) {
    await disposeAll(owned);
    throw error;
  }
}

/** The disk of an image as one that owns it: disposing the disk closes the image and its parents. */
export function owningDisk(image: Image): DiskSource {
  const { disk } = image;
  return {
    size: disk.size,
    extents: (signal) => disk.extents(signal),
    read: (into, offset) => disk.read(into, offset),
    [Symbol.asyncDispose]: () => image[Symbol.asyncDispose](),
  };
}

/** Several images, the disks of one machine, opened in their order. With one, all options are about it. */
export async function openImages(
  session: Session,
  paths: readonly string[],
  options: ImageOptions,
): Promise<AsyncDisposable & { readonly images: readonly Image[] }> {
  const { from: formats = [], parent, disk, ...rest } = options;
  const [first, second] = paths;
  if (first !== undefined && second === undefined) {
    const image = await openImage(session, first, options);
    return { images: [image], [Symbol.asyncDispose]: () => image[Symbol.asyncDispose]() };
  }
  if (disk !== undefined || (parent?.length ?? 0) > 0) {
    throw new DefinitionError('image-options-ambiguous', '--parent and --disk are for one image, several are given', {
      hint: 'convert each of them on its own first',
    });
  }
  refuseUnusable(paths, formats);
  const images: Image[] = [];
  try {
    for (const [index, path] of paths.entries())
      images.push(await openImage(session, path, { ...rest, from: formats.slice(index, index + 1) }));
  } catch (error) {
    await disposeAll(images);
    throw error;
  }
  return { images, [Symbol.asyncDispose]: () => disposeAll([...images]) };
}

/** Bytes that a file takes up on its file system; none for what comes through a pipe. */
export async function storedSize(session: Session, path: string): Promise<number> {
  if (path === STDIN) return 0;
  return (await stat(locate(session, path))).blocks * 512; // st_blocks counts in 512 bytes everywhere
}

interface Choice extends Omit<ImageOptions, 'from' | 'parent'> {
  readonly from: string | undefined;
}

type Opened = Omit<Image, keyof AsyncDisposable>;

/** What is opened is put into `owned`, in the order of opening. */
async function openOne(
  session: Session,
  path: string,
  choice: Choice,
  behind: Opened | undefined,
  owned: AsyncDisposable[],
): Promise<Opened> {
  const host = await session.host();
  const own = <T extends AsyncDisposable>(resource: T): T => {
    owned.push(resource);
    return resource;
  };
  const { file, standalone } = await openBytes(session, path, choice, own);
  const converter = await host.detect(file, choice.from);
  refuseUnknownDisk(path, converter, choice.disk);
  const opened = await converter.open(file, {
    ...(behind === undefined ? {} : { parent: parentOf(behind) }),
    ...(choice.disk === undefined || converter.capabilities.severalDisks !== true ? {} : { disk: choice.disk }),
    expand: expander(session, path, choice),
  });
  own(opened.disk);
  if (behind !== undefined && opened.parent === undefined) {
    throw new DefinitionError('parent-unused', `${path} (${converter.id}) holds all of its disk, it has no parent`, {
      hint: `leave out --parent ${behind.path}`,
    });
  }
  return {
    path,
    file,
    converter,
    opened,
    disk: opened.disk,
    facts: opened.facts,
    standalone: standalone && behind === undefined,
  };
}

/** In reverse; the first failure is thrown when all are closed. */
async function disposeAll(owned: AsyncDisposable[]): Promise<void> {
  const failures: unknown[] = [];
  for (let one = owned.pop(); one !== undefined; one = owned.pop()) {
    await Promise.resolve(one[Symbol.asyncDispose]()).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

function parentOf({ path, disk, opened: { linkId } }: Opened): ParentImage {
  return { path, disk, linkId };
}

function refuseUnusable(paths: readonly string[], formats: readonly string[]): void {
  if (paths.length - 1 > PARENTS) {
    throw new DefinitionError('parents-too-many', `${paths.length} images are named, at most ${PARENTS + 1} can be`, {
      hint: 'flatten a part of the chain first: `polyvisor convert` with its parents',
    });
  }
  if (paths.filter((one) => one === STDIN).length > 1) throw stdinTwice();
  if (formats.length > paths.length) {
    const files = paths.length === 1 ? 'one image' : `${paths.length} images`;
    throw new DefinitionError('from-unused', `--from is given ${formats.length} times for ${files}`, {
      hint: 'give it once for each image, in their order',
    });
  }
}

function refuseUnknownDisk(path: string, { id, capabilities }: DiskConverter, disk: string | undefined): void {
  if (disk === undefined || disk === '1' || capabilities.severalDisks === true) return;
  throw new DefinitionError(
    'disk-unknown',
    `${path} (${id}) holds one disk, there is no disk ${JSON.stringify(disk)}`,
    {
      hint: 'leave out --disk',
    },
  );
}
