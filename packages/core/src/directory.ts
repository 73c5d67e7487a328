import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory and those above it; one that exists is fine. Not `mkdir` with `recursive`, which in Node 20 tries for
 * ever, beyond the reach of any signal, where a file system takes no directories from anybody, as /proc does.
 */
export async function makeDirectory(path: string): Promise<void> {
  const made = await make(path);
  if (made !== 'no parent') return;
  await makeDirectory(dirname(path));
  await mkdir(path).catch((error: unknown) => unlessDirectory(path, error));
}

async function make(path: string): Promise<'made' | 'no parent'> {
  try {
    await mkdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(path) !== path) return 'no parent';
    await unlessDirectory(path, error);
  }
  return 'made';
}

async function unlessDirectory(path: string, error: unknown): Promise<void> {
  const isDirectory = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isDirectory) throw error;
}
