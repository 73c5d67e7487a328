import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findHome, removeHome, STATE_FILE } from './home.js';

/** How deep below the directory of a job machines may be. */
const DEPTH = 3;

/** Ends and removes the machines that a killed run left below `workDir`, and nothing else. */
export async function discardMachines(workDir: string, signal: AbortSignal): Promise<void> {
  for (const directory of await homesBelow(workDir, DEPTH)) {
    signal.throwIfAborted();
    const home = await findHome(directory);
    if (home !== undefined) await removeHome(home, directory);
  }
}

async function homesBelow(directory: string, depth: number): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const here = entries.some((entry) => entry.isFile() && entry.name === STATE_FILE) ? [directory] : [];
  if (depth === 0) return here;
  const below = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => homesBelow(join(directory, entry.name), depth - 1));
  return [...here, ...(await Promise.all(below)).flat()];
}
