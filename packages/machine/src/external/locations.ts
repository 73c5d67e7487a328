import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Path of a location on this machine, or undefined when it is an address elsewhere. */
export function localPath(location: string): string | undefined {
  if (isAbsolute(location)) return location;
  if (!/^file:/i.test(location)) return undefined;
  try {
    return fileURLToPath(location);
  } catch {
    return undefined; // with a host, or with an escaped slash; told as an address that cannot be used
  }
}

/** The location as it may be shown: without password, and without a query that may be one. */
export function withoutSecrets(location: string): string {
  if (isAbsolute(location) || !URL.canParse(location)) return location;
  const url = new URL(location);
  if (url.username === '' && url.password === '' && url.search === '') return location;
  url.username = '';
  url.password = '';
  if (url.search !== '') url.search = '?…';
  return decodeEllipsis(url.href);
}

function decodeEllipsis(href: string): string {
  return href.replace('?%E2%80%A6', '?…');
}
