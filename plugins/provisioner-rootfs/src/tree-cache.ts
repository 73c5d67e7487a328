import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackageCache } from './cache.js';
import type { Sandbox } from './sandbox.js';

/** Trees that are kept for each set of sources; one takes a third of what the system does. */
const KEPT = 3;

/** End of the name of a tree that is being written. */
const PART = '.part';

/**
 * What a freshly installed tree depends on: all that mmdebstrap is told, its version, and the archive's signed lists, which
 * name every package by its hash. The same key, the same tree.
 */
export async function treeKey({ lists }: PackageCache, told: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(told));
  const signed = (await readdir(lists)).filter((name) => /_(?:In)?Release$/.test(name)).sort();
  for (const name of signed) hash.update(`\0${name}\0`).update(await readFile(join(lists, name)));
  return hash.digest('hex').slice(0, 32);
}

/** Trees as they were when their packages had been installed, before anything of the definition was done. */
export class TreeCache {
  readonly #directory: string;

  constructor(cache: PackageCache) {
    this.#directory = cache.trees;
  }

  /** Puts a tree back. False when there is none of that key. */
  async restore(sandbox: Sandbox, key: string): Promise<boolean> {
    const file = this.#file(key);
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) return false;
    try {
      await sandbox.shell(
        'mkdir -p "$1"; tar --extract --use-compress-program="zstd -q" --file="$2" --directory="$1" --numeric-owner --preserve-permissions --xattrs --xattrs-include="*"',
        [sandbox.root, file],
      );
    } catch {
      sandbox.signal.throwIfAborted();
      // Cut short or damaged: make it anew.
      await rm(file, { force: true });
      await sandbox.shell('find "$1" -mindepth 1 -delete', [sandbox.root]);
      return false;
    }
    await sandbox.run('touch', [file]);
    return true;
  }

  /** Keeps the tree; the oldest ones go. Nothing is under the final name before it is whole. */
  async keep(sandbox: Sandbox, key: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    // Of builds that were killed: who keeps a tree has the cache to itself.
    for (const name of await readdir(this.#directory)) {
      if (name.endsWith(PART)) await rm(join(this.#directory, name), { force: true });
    }
    const part = `${this.#file(key)}${PART}`;
    try {
      // tar runs zstd itself, and fails when either of them does; a pipe would tell of the last one only.
      await sandbox.shell(
        'tar --create --use-compress-program="zstd -q -1 -T0" --file="$2" --directory="$1" --one-file-system --sort=name --numeric-owner --xattrs --xattrs-include="*" --exclude="./dev/*" --exclude="./var/cache/apt/archives/*" --exclude="./var/lib/apt/lists/*" .',
        [sandbox.root, part],
      );
      await rename(part, this.#file(key));
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    const names = await readdir(this.#directory);
    const aged = await Promise.all(
      names.map(async (name) => ({ name, time: (await stat(join(this.#directory, name))).mtimeMs })),
    );
    const old = aged.sort((one, other) => other.time - one.time).slice(KEPT);
    for (const { name } of old) await rm(join(this.#directory, name), { force: true });
  }

  #file(key: string): string {
    return join(this.#directory, `${key}.tar.zst`);
  }
}
