import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OWNER_TAG, ownerIsGone } from '@polyvisor/core';

/** A file of this name in a directory says that a person wanted it kept; see `--on-error keep`. */
export const KEEP_MARK = '.polyvisor-keep';

/** Codes of a removal that somebody with other rights could do. */
const FORBIDDEN = ['EACCES', 'EPERM'];

/** A directory that a dead run left. */
export interface Stale {
  readonly path: string;
  /** Its name up to the tag of the process, and after it. */
  readonly before: string;
  readonly after: string;
}

/**
 * Directories in `parent` that have the tag of a process that is gone in their names, with what `before` and `after` describe
 * around it. Those of other users and those that are to be kept are left out.
 */
export async function findStale(parent: string, before: RegExp, after: RegExp): Promise<readonly Stale[]> {
  const stale: Stale[] = [];
  for (const name of await readdir(parent).catch(() => [])) {
    const match = OWNER_TAG.exec(name);
    if (match === null) continue;
    const [tag] = match;
    const found = {
      path: join(parent, name),
      before: name.slice(0, match.index),
      after: name.slice(match.index + tag.length),
    };
    if (!before.test(found.before) || !after.test(found.after) || !ownerIsGone(tag)) continue;
    const stats = await lstat(found.path).catch(() => undefined);
    if (stats === undefined || !stats.isDirectory() || stats.uid !== process.getuid?.()) continue;
    if (!(await isKept(found.path))) stale.push(found);
  }
  return stale;
}

/**
 * Removes a directory of a dead run. Refuses, by returning the reason, while something is mounted below it: removing what
 * is mounted there would destroy data of others. Where rights are missing, `discard` may know a way.
 */
export async function removeStale(
  path: string,
  discard?: (path: string) => Promise<void>,
): Promise<string | undefined> {
  const mounts = await mountsBelow(path);
  if (mounts.length > 0) return `${mounts.join(', ')} is still mounted; unmount it and remove ${path}`;
  const remove = () => rm(path, { recursive: true, force: true });
  try {
    await remove().catch(async (error: unknown) => {
      if (discard === undefined || !FORBIDDEN.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await discard(path);
      await remove();
    });
    return undefined;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; remove ${path} by hand`;
  }
}

async function isKept(path: string): Promise<boolean> {
  return lstat(join(path, KEEP_MARK)).then(
    () => true,
    () => false,
  );
}

/** Field 5 of each line of mountinfo is where something is mounted, with spaces and the like as octal escapes. */
async function mountsBelow(path: string): Promise<readonly string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  return table
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 8)),
      ),
    )
    .filter((mount) => mount === path || mount.startsWith(`${path}/`));
}
