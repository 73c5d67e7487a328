import { rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { discardWork, type FindProvisioner } from './discard.js';
import { findAllStale, removeStale, type Stale } from './stale.js';
import { findWork } from './work-directory.js';
import { readWorkState, type WorkState } from './work-state.js';

/** Something that a run left whose process is dead. */
export interface Leftover {
  /**
   * `work`: a work directory, with the machines that belong to it; `output`: what was to become a result; `aside`: a result that was
   * moved aside and has no successor, so that it goes back; `spool`: a temporary file; `log`: the log of a failed build.
   */
  readonly kind: 'work' | 'output' | 'aside' | 'spool' | 'log';
  readonly path: string;
  /** A person wanted it kept. */
  readonly kept: boolean;
  /** What it was for, where that is known. */
  readonly state?: WorkState;
}

export interface LeftoverPlaces {
  /** Where temporary directories are made. */
  readonly workRoots: readonly string[];
  /** Folders in which results appear. */
  readonly outputFolders: readonly string[];
  readonly cacheDir: string;
}

/** Finds what dead runs left, by the tags of their processes. Changes nothing. */
export async function findLeftovers({
  workRoots,
  outputFolders,
  cacheDir,
}: LeftoverPlaces): Promise<readonly Leftover[]> {
  const found: Leftover[] = [];
  for (const root of new Set(workRoots)) {
    for (const { path, kept } of await findWork(root)) {
      const state = await readWorkState(path);
      found.push({ kind: 'work', path, kept, ...(state === undefined ? {} : { state }) });
    }
    const spools = await findAllStale(root, /^polyvisor-$/, /^-\d+\.tmp$/);
    found.push(...spools.map(({ path }): Leftover => ({ kind: 'spool', path, kept: false })));
  }
  for (const folder of new Set(outputFolders)) {
    for (const stale of await findAllStale(folder, /^.+\.$/, /^\.part(?:\.old)?$/)) {
      const aside = stale.after.endsWith('.old') && !(await exists(finalName(folder, stale)));
      found.push({ kind: aside ? 'aside' : 'output', path: stale.path, kept: stale.kept });
    }
  }
  for (const { path, kept } of await findAllStale(join(cacheDir, 'logs'), /-$/, /^$/))
    found.push({ kind: 'log', path, kept });
  return found;
}

/** Removes one, with all that belongs to it elsewhere; returns the reason when it has to stay. */
export async function removeLeftover(
  { kind, path }: Leftover,
  find: FindProvisioner,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (kind === 'work') return removeStale(path, (given) => discardWork(given, find, signal));
  if (kind !== 'aside') return removeStale(path);
  try {
    await rename(path, originalName(path));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What a result that was moved aside was called. */
export function originalName(path: string): string {
  return path.replace(/\.\d+-\d+-[0-9a-f]{8}\.part\.old$/, '');
}

function finalName(folder: string, { before }: Stale): string {
  return join(folder, before.slice(0, -1));
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
