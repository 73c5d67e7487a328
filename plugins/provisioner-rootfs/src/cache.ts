import { createHash } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { PluginContext } from '@polyvisor/core';
import { type AptSource, sourceLine } from './mirror.js';
import type { Sandbox } from './sandbox.js';

/** What is kept of an archive between builds. Everything is checked against its signatures at every use. */
export interface PackageCache {
  /** Downloaded packages. */
  readonly archives: string;
  /** The archive's signed lists. */
  readonly lists: string;
  /** Trees with their packages installed. */
  readonly trees: string;
  readonly lock: string;
}

/** One cache for each set of sources, so that what is in it can always be told from the lists in it. */
export async function openCache(cacheDir: string, sources: readonly AptSource[]): Promise<PackageCache> {
  const key = createHash('sha256').update(sources.map(sourceLine).join('\n')).digest('hex').slice(0, 12);
  const directory = join(cacheDir, `apt-${sources[0]?.suite ?? 'none'}-amd64-${key}`);
  const cache = {
    archives: join(directory, 'archives'),
    lists: join(directory, 'lists'),
    trees: join(directory, 'trees'),
    lock: join(directory, 'in-use'),
  };
  // Named apart: the mode of directories on the way would be the one of the last.
  for (const name of [cache.archives, cache.lists]) await mkdir(join(name, 'partial'), { recursive: true });
  return cache;
}

/** Whether it has the lists of a suite, without which nothing can be built offline. */
export async function hasLists({ lists }: PackageCache): Promise<boolean> {
  return (await readdir(lists)).some((name) => /_(?:In)?Release$/.test(name));
}

/** Keeps other builds from the cache. The lock is a process's: it goes with its holder, however that ends. */
export async function lockCache(
  context: PluginContext,
  { lock }: PackageCache,
  signal: AbortSignal,
  waiting: () => void,
): Promise<AsyncDisposable> {
  const holder = context.start('flock', ['--exclusive', lock, 'sh', '-c', 'echo locked; exec cat >/dev/null'], {
    signal,
  });
  const release = async () => {
    holder.stdin.end();
    await holder.stop(1000);
  };
  const timer = setTimeout(waiting, 1000);
  try {
    await Promise.race([
      new Promise<void>((resolve) => createInterface({ input: holder.stdout }).once('line', () => resolve())),
      holder.exited,
    ]);
    signal.throwIfAborted();
  } catch (error) {
    await release();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return { [Symbol.asyncDispose]: release };
}

/** Lets the guest's own apt use the cache, for scripts that install more. Where mmdebstrap did so, nothing changes. */
export async function mountCache(sandbox: Sandbox, { archives, lists }: PackageCache): Promise<void> {
  await sandbox.shell(
    `mount_cache() {
      mkdir -p "$2"
      mountpoint -q "$2" || mount --bind "$1" "$2"
    }
    mount_cache "$2" "$1/var/cache/apt/archives"
    mount_cache "$3" "$1/var/lib/apt/lists"`,
    [sandbox.root, archives, lists],
  );
}
