import { basename } from 'node:path';
import type { AnswerFile, ExternalFile, Source } from '@polyvisor/core';

/**
 * A source for the manifest: what it was, without paths of this machine and without anything that might be secret. The files that
 * answered are among the inputs, with their hashes.
 */
export function manifestSource(source: Source): object {
  if (source.kind === 'packages') {
    const { keyring, ...rest } = source;
    return { ...rest, ...(keyring === undefined ? {} : { keyring: basename(keyring) }) };
  }
  const { kind, answers, access } = source;
  const common = {
    kind,
    answers: {
      http: answers.http.map(nameOf),
      ...(answers.seed === undefined ? {} : { seed: { ...answers.seed, files: answers.seed.files.map(nameOf) } }),
    },
    user: access.user,
  };
  if (source.kind === 'disk')
    return {
      ...common,
      image: imageOf(source.image),
      ...(source.format === undefined ? {} : { format: source.format }),
    };
  const { medium } = source;
  return {
    ...common,
    medium:
      medium.kind === 'iso'
        ? { ...medium, image: imageOf(medium.image) }
        : { ...medium, directory: basename(medium.directory) },
    start: source.start,
    kernelArguments: source.kernelArguments,
    bootCommand: source.typing.command,
  };
}

function nameOf({ name }: AnswerFile): string {
  return name;
}

function imageOf({ locations, checksum }: ExternalFile): object {
  return { checksum, locations: locations.map((each) => (each.startsWith('/') ? basename(each) : each)) };
}
