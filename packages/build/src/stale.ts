import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OWNER_TAG, ownerIsGone } from '@polyvisor/core';

/** A file of this name in a directory says that a person wanted it kept; see `--on-error keep`. */
export const KEEP_MARK = '.polyvisor-keep';

/** A file or directory that a dead run left. */
export interface Stale {
  readonly path: string;
  /** Its name up to the tag of the process, and after it. */
  readonly before: string;
  readonly after: string;
  readonly kind: 'directory' | 'file';
  /** A person wanted it kept. */
  readonly kept: boolean;
}

/**
 * What has the tag of a process that is gone in its name, with what `before` and `after` describe around it. Belongings of other
 * users are left out.
 */
export async function findAllStale(parent: string, before: RegExp, after: RegExp): Promise<readonly Stale[]> {
  const stale: Stale[] = [];
  for (const name of await readdir(parent).catch(() => [])) {
    const match = OWNER_TAG.exec(name);
    if (match === null) continue;
    const [tag] = match;
    const path = join(parent, name);
    const parts = { before: name.slice(0, match.index), after: name.slice(match.index + tag.length) };
    if (!before.test(parts.before) || !after.test(parts.after) || !ownerIsGone(tag)) continue;
    const stats = await lstat(path).catch(() => undefined);
    if (stats === undefined || stats.uid !== process.getuid?.()) continue;
    if (stats.isFile()) stale.push({ path, ...parts, kind: 'file', kept: false });
    if (stats.isDirectory()) stale.push({ path, ...parts, kind: 'directory', kept: await isKept(path) });
  }
  return stale;
}

/** The directories among them that nobody wanted kept. */
export async function findStale(parent: string, before: RegExp, after: RegExp): Promise<readonly Stale[]> {
  return (await findAllStale(parent, before, after)).filter(({ kind, kept }) => kind === 'directory' && !kept);
}

/**
 * Removes what a dead run left. Refuses, by returning the reason, while something is mounted below it: removing what is mounted
 * there would destroy data of others. `discard` comes first: it ends what still uses the directory, and removes what belongs to it
 * elsewhere; when it fails, nothing is removed, or nobody would know any more what is left.
 */
export async function removeStale(
  path: string,
  discard?: (path: string) => Promise<void>,
): Promise<string | undefined> {
  const mounts = await mountsBelow(path);
  if (mounts.length > 0) return `${mounts.join(', ')} is still mounted; unmount it and remove ${path}`;
  try {
    await discard?.(path);
  } catch (error) {
    return `${messageOf(error)}; ${path} stays`;
  }
  try {
    await rm(path, { recursive: true, force: true });
    return undefined;
  } catch (error) {
    return `${messageOf(error)}; remove ${path} by hand`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
