import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Answers, ExternalFile, Source } from '@polyvisor/core';

/** Absolute paths of the files of this machine that a source is made of, but for images. */
export function sourceFiles(source: Source): readonly string[] {
  if (source.kind === 'packages') return source.keyring === undefined ? [] : [source.keyring];
  const { http, seed } = source.answers;
  const files = [...http, ...(seed?.files ?? [])].map(({ from }) => from);
  if (source.kind === 'disk' || source.medium.kind === 'iso') return files;
  const { directory, kernel, initrd, bootFiles } = source.medium;
  return [...files, ...[kernel, initrd, ...Object.values(bootFiles)].map((name) => join(directory, name))];
}

/** The image of a source that has one. */
export function sourceImage(source: Source): ExternalFile | undefined {
  if (source.kind === 'disk') return source.image;
  return source.kind === 'installer' && source.medium.kind === 'iso' ? source.medium.image : undefined;
}

/** The image on this machine that no checksum identifies: what it is then depends on its content. */
export async function uncheckedImage(source: Source): Promise<string | undefined> {
  const image = sourceImage(source);
  if (image?.checksum !== 'none') return undefined;
  for (const location of image.locations) {
    if (!location.startsWith('/')) return undefined;
    if ((await stat(location).catch(() => undefined))?.isFile() === true) return location;
  }
  return undefined;
}

/** A source as far as it tells what the disk becomes: where a file is does not matter where its content counts. */
export function sourceFacts(source: Source, nameOf: (path: string) => string): object {
  if (source.kind === 'packages')
    return { ...source, ...(source.keyring === undefined ? {} : { keyring: nameOf(source.keyring) }) };
  const answers = answersFacts(source.answers, nameOf);
  if (source.kind === 'disk') return { ...source, answers, image: imageFacts(source.image) };
  const { medium } = source;
  return {
    ...source,
    answers,
    medium:
      medium.kind === 'iso'
        ? { ...medium, image: imageFacts(medium.image) }
        : { ...medium, directory: nameOf(medium.directory) },
  };
}

function answersFacts({ http, seed }: Answers, nameOf: (path: string) => string): object {
  const named = (files: Answers['http']) => files.map((file) => ({ ...file, from: nameOf(file.from) }));
  return { http: named(http), ...(seed === undefined ? {} : { seed: { ...seed, files: named(seed.files) } }) };
}

/** Two places of one content are the same image. Without a checksum a path counts by the hash among the files, an address by itself. */
function imageFacts({ checksum, locations }: ExternalFile): object {
  return checksum === 'none'
    ? { checksum, addresses: locations.filter((each) => !each.startsWith('/')) }
    : { checksum };
}
