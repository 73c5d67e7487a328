import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DefinitionError, ioError, makeDirectory, ownerTag, syncDirectory } from '@polyvisor/core';
import { findStale, KEEP_MARK, removeStale } from './stale.js';

/** By this file a directory is known as one that a build made, and so as one that `--force` may replace. */
export const MANIFEST_NAME = 'manifest.json';

/** The output of a build in the making: a directory beside the final one. Disposing removes it unless it was committed. */
export interface OutputDirectory extends AsyncDisposable {
  /** The final name. */
  readonly path: string;
  /** Where the files are until then. */
  readonly partPath: string;
  /** Makes everything durable and gives the directory its final name; what had that name is gone afterwards, not before. */
  commit(): Promise<void>;
  /** Makes this and later runs leave the unfinished directory alone. */
  keep(): Promise<void>;
}

/** Refuses an output that exists, unless `force` is given and a build made it. Changes nothing. */
export async function checkOutputDirectory(path: string, force: boolean): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isDirectory()) {
    throw new DefinitionError('output-exists', `${path} exists and is not a directory`, {
      hint: 'choose another one with -o',
    });
  }
  const names = await readdir(path);
  if (names.length === 0) return;
  if (!force)
    throw new DefinitionError('output-exists', `${path} exists`, {
      hint: 'choose another directory with -o, or replace it with --force',
    });
  if (!names.includes(MANIFEST_NAME)) {
    throw new DefinitionError(
      'output-foreign',
      `${path} is not the output of a build (it has no ${MANIFEST_NAME}), so --force does not replace it`,
      {
        hint: 'choose another directory with -o, or empty this one',
      },
    );
  }
}

/** Makes the unfinished directory, after removing or restoring what killed runs left of the same output. */
export async function createOutputDirectory(directory: string, force: boolean): Promise<OutputDirectory> {
  const path = resolve(directory);
  const parent = dirname(path);
  const partPath = `${path}.${ownerTag()}.part`;
  try {
    await makeDirectory(parent);
    await mendOutputs(path);
    await checkOutputDirectory(path, force);
    await mkdir(partPath);
  } catch (error) {
    throw ioError(error, `cannot create ${path}`);
  }
  let settled = false;
  return {
    path,
    partPath,
    commit: async () => {
      try {
        await syncTree(partPath);
        await checkOutputDirectory(path, force);
        await replace(partPath, path);
        settled = true;
      } catch (error) {
        throw ioError(error, `cannot give ${path} its final name`);
      }
    },
    keep: async () => {
      settled = true;
      await writeFile(join(partPath, KEEP_MARK), '');
    },
    [Symbol.asyncDispose]: async () => {
      if (!settled) await rm(partPath, { recursive: true, force: true });
    },
  };
}

/**
 * Removes the unfinished outputs that killed runs left beside this one, whatever their names. One that was moved aside by a
 * run killed in its commit goes back, unless its successor is in place.
 */
export async function mendOutputs(directory: string): Promise<void> {
  const parent = dirname(resolve(directory));
  for (const { path, before, after } of await findStale(parent, /^.+\.$/, /^\.part(\.old)?$/)) {
    const final = join(parent, before.slice(0, -1));
    const replaced = after.endsWith('.old') && (await stat(final).catch(() => undefined)) === undefined;
    if (replaced) await rename(path, final);
    else await removeStale(path);
  }
}

async function replace(from: string, to: string): Promise<void> {
  const aside = `${from}.old`;
  const existed = await rename(to, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  try {
    await rename(from, to);
  } catch (error) {
    if (existed) await rename(aside, to);
    throw error;
  }
  await syncDirectory(dirname(to));
  if (existed) await rm(aside, { recursive: true, force: true });
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      await syncTree(path);
      continue;
    }
    const handle = await open(path, 'r');
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }
  await syncDirectory(directory);
}
