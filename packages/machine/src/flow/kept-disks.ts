import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ownerIsGone, OWNER_TAG, ownerTag } from '@polyvisor/core';
import { buildKeyFrom, type BuildKey, type StoredKey } from './stored-key.js';
import type { Run } from './run.js';

/** Disks that are kept, of all appliances together; beyond that the one that was longest not used goes. */
const MOST = 3;

/**
 * Installed disks in the cache, for `--resume`: a directory each, named by `resumeKey`, with the disk and the build key that is
 * inside of it. Others may use the cache at the same time: an entry appears and disappears as a whole.
 */
export class KeptDisks {
  readonly #run: Pick<Run, 'job' | 'capabilities' | 'log'>;
  readonly #directory: string;

  constructor(run: Pick<Run, 'job' | 'capabilities' | 'log'>) {
    this.#run = run;
    this.#directory = join(run.job.cacheDir, 'installed');
  }

  /** Copies a kept disk to a new file. Resolves to its key, or to undefined when there is none that is good. */
  async take(name: string, path: string): Promise<BuildKey | undefined> {
    const { log, job } = this.#run;
    const entry = join(this.#directory, name);
    try {
      const stored = JSON.parse(await readFile(join(entry, 'key.json'), 'utf8')) as StoredKey;
      await this.#copy(join(entry, 'disk'), path);
      const now = new Date();
      await utimes(entry, now, now);
      return buildKeyFrom(stored);
    } catch (error) {
      job.signal.throwIfAborted();
      await rm(path, { force: true });
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn(`the disk kept at ${entry} cannot be used, so it is made anew: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** Keeps a copy of a disk that is not in use, and the key that it lets in. */
  async keep(name: string, path: string, key: BuildKey): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await chmod(this.#directory, 0o700);
    await this.#sweep(MOST - 1, name);
    const part = join(this.#directory, `${name}.${ownerTag()}.part`);
    await rm(part, { recursive: true, force: true });
    await mkdir(part, { mode: 0o700 });
    try {
      const stored: StoredKey = { publicKey: key.publicKey, privateKey: key.privateKey };
      await writeFile(join(part, 'key.json'), JSON.stringify(stored), { mode: 0o600 });
      await this.#copy(path, join(part, 'disk'));
      const entry = join(this.#directory, name);
      await rm(entry, { recursive: true, force: true });
      await rename(part, entry);
    } catch (error) {
      await rm(part, { recursive: true, force: true });
      throw error;
    }
  }

  /** Shares the blocks where the file system can, else copies what is not zero. */
  async #copy(from: string, to: string): Promise<void> {
    const { job, capabilities } = this.#run;
    try {
      await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
      await rm(to, { force: true });
    }
    job.signal.throwIfAborted();
    await using disk = await job.images.open(from, capabilities.diskFormat);
    await job.images.write(disk, capabilities.diskFormat, to);
  }

  /** Removes what dead runs left half made, and all but the entries used last. */
  async #sweep(most: number, except: string): Promise<void> {
    const entries: { readonly path: string; readonly used: number }[] = [];
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const owner = OWNER_TAG.exec(name)?.[1];
      if (owner !== undefined) {
        if (ownerIsGone(owner)) await rm(path, { recursive: true, force: true });
      } else if (name !== except) {
        const stats = await stat(path).catch(() => undefined);
        if (stats !== undefined) entries.push({ path, used: stats.mtimeMs });
      }
    }
    entries.sort((left, right) => right.used - left.used);
    for (const { path } of entries.slice(most)) await rm(path, { recursive: true, force: true });
  }
}
