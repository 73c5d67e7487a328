import { type FileHandle, link, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeDirectory } from './directory.js';
import type { DiskSink } from './disk.js';
import { DefinitionError } from './errors.js';
import { filledSink } from './filled-sink.js';
import { ioError } from './io-error.js';
import { OWNER_TAG, ownerIsGone, ownerTag } from './owner.js';
import { writeAll } from './write-all.js';

/** Whether an output keeps holes where nothing was written; `never` writes zeros there. */
export type Sparse = 'auto' | 'never';

/** A file in the making. Until `commitOutputs` it exists only under a temporary name beside its final one. */
export interface OutputFile {
  /** The final name. */
  readonly path: string;
  /** Where the bytes are until then. */
  readonly partPath: string;
  readonly sink: DiskSink;
  /** Makes the bytes durable and closes the file. Idempotent. */
  close(): Promise<void>;
  /** Closes and removes what was written. Idempotent; never rejects. */
  discard(): Promise<void>;
}

/**
 * Creates an output, its directory included, and removes what a killed run left of the same one. An existing file is
 * refused unless `force`, which replaces it at the commit and not before.
 */
export async function createOutput(path: string, force: boolean, sparse: Sparse = 'auto'): Promise<OutputFile> {
  const directory = dirname(path);
  const partPath = `${path}.${ownerTag()}.part`;
  let handle: FileHandle;
  try {
    await makeDirectory(directory);
    await removeStaleParts(directory, basename(path)); // first: it may put a file back
    await refuseExisting(path, force);
    handle = await open(partPath, 'wx+');
  } catch (error) {
    throw ioError(error, `cannot create ${path}`);
  }
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    try {
      await handle.datasync();
    } catch (error) {
      throw ioError(error, `cannot flush ${path}`);
    } finally {
      await handle.close();
    }
  };
  const sink: DiskSink = {
    write: (bytes, offset) => writeAll(handle, bytes, offset, path),
    end: async (size) => {
      await handle.truncate(size).catch((error: unknown) => {
        throw ioError(error, `cannot give ${path} its length of ${size} bytes`);
      });
    },
  };
  return {
    path,
    partPath,
    sink: sparse === 'never' ? filledSink(sink) : sink,
    close,
    discard: async () => {
      if (!closed) {
        closed = true;
        await handle.close().catch(() => undefined);
      }
      await rm(partPath, { force: true }).catch(() => undefined);
    },
  };
}

/** Gives every output its final name, or none: what was renamed before a failure is taken back. */
export async function commitOutputs(outputs: readonly OutputFile[], force: boolean): Promise<void> {
  for (const output of outputs) await output.close();
  const undo: (() => Promise<void>)[] = [];
  const replaced: string[] = [];
  try {
    for (const { path, partPath } of outputs) {
      if (force && (await exists(path))) {
        const aside = `${partPath}.old`;
        await rename(path, aside);
        replaced.push(aside);
        undo.push(() => rename(aside, path));
      }
      await publish(partPath, path);
      undo.push(() => unlink(path));
    }
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw ioError(error, 'cannot give the outputs their final names');
  }
  for (const aside of replaced) await rm(aside, { force: true });
  for (const directory of new Set(outputs.map((output) => dirname(output.path)))) await syncDirectory(directory);
}

/** Makes the names in a directory durable. Not every file system can; that is no reason to fail. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/** Unlike a rename, a hard link never replaces a file that appeared in the meantime. */
async function publish(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') await refuseExisting(to, false);
    await rename(from, to); // file systems without hard links
    return;
  }
  await unlink(from);
}

async function refuseExisting(path: string, force: boolean): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isFile())
    throw new DefinitionError('output-exists', `${path} exists and is not a file`, {
      hint: 'choose another name with -o',
    });
  if (!force)
    throw new DefinitionError('output-exists', `${path} exists`, {
      hint: 'choose another name with -o, or replace it with --force',
    });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function removeStaleParts(directory: string, name: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    if (!entry.startsWith(`${name}.`) || !/\.part(\.old)?$/.test(entry)) continue;
    const tag = OWNER_TAG.exec(entry.slice(name.length))?.[1];
    if (tag === undefined || !ownerIsGone(tag)) continue;
    // A file that was moved aside by a run killed in its commit goes back, unless its successor is in place.
    if (entry.endsWith('.old') && !(await exists(join(directory, name))))
      await rename(join(directory, entry), join(directory, name));
    else await rm(join(directory, entry), { force: true });
  }
}
