import { basename } from 'node:path';
import type { ExternalFile, Source } from '@polyvisor/core';

/** A source in a few words, for the log and for messages. */
export function sourceText(source: Source): string {
  switch (source.kind) {
    case 'packages':
      return `packages of ${source.distribution} ${source.suite}`;
    case 'disk':
      return `the disk ${imageText(source.image)}`;
    case 'installer':
      return source.medium.kind === 'iso'
        ? `the installer on ${imageText(source.medium.image)}`
        : `the installer in ${source.medium.directory}`;
  }
}

function imageText({ locations: [first] }: ExternalFile): string {
  if (first === undefined) return 'an image without a location';
  return basename(first.startsWith('/') || !URL.canParse(first) ? first : new URL(first).pathname) || first;
}
