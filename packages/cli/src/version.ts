import { readFileSync } from 'node:fs';

/** Our own package.json: beside `src` and beside `dist` alike. */
export const OWN_PACKAGE = new URL('../package.json', import.meta.url);

export function packageVersion(): string {
  return (JSON.parse(readFileSync(OWN_PACKAGE, 'utf8')) as { version: string }).version;
}
