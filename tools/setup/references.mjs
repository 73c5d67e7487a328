import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { workspaces } from './workspaces.mjs';

/**
 * Writes the root tsconfig.json, which lists every project for `tsc -b`, editors and Nx. It is made from the folders that
 * are there and is not committed: a new package would otherwise have to touch a file that belongs to all of them.
 */
export function writeReferences() {
  const references = workspaces()
    .filter(({ folder }) => existsSync(`${folder}/tsconfig.json`))
    .map(({ folder }) => ({ path: `./${folder}` }));
  const text = `${JSON.stringify({ extends: './tsconfig.base.json', files: [], include: [], references }, undefined, 2)}\n`;
  if (!existsSync('tsconfig.json') || readFileSync('tsconfig.json', 'utf8') !== text)
    writeFileSync('tsconfig.json', text);
}

// npm runs this file after every install (`prepare` in the root package.json).
if (import.meta.url === pathToFileURL(process.argv[1]).href) writeReferences();
