import { didYouMean } from '@polyvisor/core';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, relative, resolve, sep } from 'node:path';

export type FileKind = 'file' | 'directory';

export type InputPath =
  | { readonly path: string; readonly kind: FileKind }
  | {
      /** `special`: it is neither a file nor a directory, or cannot be read. */
      readonly reason: 'outside' | 'missing' | 'special';
      readonly problem: string;
      readonly hint?: string;
    };

/**
 * Finds a file that a definition refers to. A definition may come from a stranger, and what it copies ends up in an image: so it
 * reaches only what is below `folder` (symbolic links followed), or below a path of `others`, which the user gave.
 */
export async function resolveInput(
  text: string,
  folder: string,
  others: readonly string[] = [],
  path = resolve(folder, text),
): Promise<InputPath> {
  const roots = [folder, ...others.map((other) => resolve(folder, other))];
  // Before touching the disk, so that a definition cannot even ask whether a file outside exists.
  if (!roots.some((root) => isWithin(path, root))) return outside(text);
  try {
    const real = await realpath(path);
    const realRoots = await Promise.all(roots.map((root) => realpath(root).catch(() => root)));
    if (!realRoots.some((root) => isWithin(real, root))) return outside(text);
    const facts = await stat(real);
    if (facts.isFile()) return { path: real, kind: 'file' };
    if (facts.isDirectory()) return { path: real, kind: 'directory' };
    return { reason: 'special', problem: `${JSON.stringify(text)} is neither a file nor a directory` };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR')
      return { reason: 'special', problem: `${JSON.stringify(text)} cannot be read: ${(error as Error).message}` };
    const siblings = await readdir(dirname(path)).catch(() => []);
    return {
      reason: 'missing',
      problem: `no file ${JSON.stringify(text)}${didYouMean(basename(path), siblings)}`,
      hint: `looked for ${path}`,
    };
  }
}

export function isWithin(path: string, root: string): boolean {
  const way = relative(root, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

function outside(text: string): InputPath {
  return {
    reason: 'outside',
    problem: `${JSON.stringify(text)} is outside of the definition's folder`,
    hint: 'move the file into the folder, or name it by a variable that you set: from: ${site_config}, with --var site_config=/path',
  };
}
