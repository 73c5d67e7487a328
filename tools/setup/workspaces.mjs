import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** Every workspace below the root: its folder, relative, and what its package.json says. Sorted, so that runs are alike. */
export function workspaces(root = '.') {
  return readJson(join(root, 'package.json'))
    .workspaces.map((pattern) => pattern.replace(/\/\*$/, ''))
    .filter((parent) => existsSync(join(root, parent)))
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .sort()
    .map((folder) => ({ folder, manifest: readJson(join(root, folder, 'package.json')) }));
}
