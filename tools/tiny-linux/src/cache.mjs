import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Written last: a folder without it is none. Its time is that of the last use. */
const STAMP = 'polyvisor.json';

/** What nobody has used for so long goes. */
const UNUSED_LIMIT_MS = 14 * 24 * 60 * 60_000;

/** A short name for the contents of files and whatever else decides about a result. */
export function fingerprint(paths, words) {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(`${path.split('/').pop()}\0`).update(readFileSync(path)).update('\0');
  for (const word of words) hash.update(`${word}\0`);
  return hash.digest('hex').slice(0, 16);
}

/** The folder `name` below `root` if it is complete, else undefined. */
export function cached(root, name) {
  const directory = join(root, name);
  try {
    utimesSync(join(directory, STAMP), new Date(), new Date());
    return directory;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  }
}

/**
 * The same, made by `make` where there is none: in a folder of its own, which gets its name when it is complete. The caller
 * sees to it that nobody else does so at the same time.
 */
export async function cachedOrMade(root, name, make) {
  const directory = cached(root, name);
  if (directory !== undefined) return directory;
  const work = join(root, `${name}.part`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    await make(work);
    writeFileSync(join(work, STAMP), JSON.stringify({ made: new Date().toISOString() }));
    rmSync(join(root, name), { recursive: true, force: true });
    renameSync(work, join(root, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return join(root, name);
}

/** Removes what has long not been used, and what a killed run left half made. Only while nobody makes anything. */
export function removeUnused(root) {
  for (const name of readdirSync(root)) {
    if (!/^[a-z]+-[0-9a-f]{16}(\.part)?$/.test(name)) continue;
    const used = statSync(join(root, name, STAMP), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - used > UNUSED_LIMIT_MS) rmSync(join(root, name), { recursive: true, force: true });
  }
}
