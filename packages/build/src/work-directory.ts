import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Emit, ioError, makeDirectory, ownerTag } from '@polyvisor/core';
import { discardWork, type FindProvisioner } from './discard.js';
import { findAllStale, KEEP_MARK, removeStale, type Stale } from './stale.js';
import { readWorkState, type WorkState, writeWorkState } from './work-state.js';

const PREFIX = 'polyvisor-';
const RANDOM_END = /^-[A-Za-z0-9]{6}$/;

/** Where everything temporary of one run is. Disposing removes it; see `keep`. */
export interface WorkDirectory extends AsyncDisposable {
  readonly path: string;
  /** Makes this and later runs leave it alone. */
  keep(): Promise<void>;
}

/** The work directories of dead runs, those that are to be kept included. */
export async function findWork(root: string): Promise<readonly Stale[]> {
  const found = await findAllStale(root, new RegExp(`^${PREFIX}$`), RANDOM_END);
  return found.filter(({ kind }) => kind === 'directory');
}

/**
 * Removes the work directories whose process is dead, with all that belongs to them elsewhere. Those that cannot be removed are
 * reported and stay. Without `find` those of provisioners are left to others.
 */
export async function cleanWorkRoot(
  root: string,
  emit: Emit,
  signal: AbortSignal,
  find?: FindProvisioner,
): Promise<void> {
  for (const { path, kept } of await findWork(root)) {
    signal.throwIfAborted();
    if (kept || (find === undefined && (await readWorkState(path))?.provisioner !== undefined)) continue;
    const problem = await removeStale(path, (given) => discardWork(given, find ?? (() => undefined), signal));
    signal.throwIfAborted();
    const message =
      problem === undefined
        ? `removed ${path}, left behind by a run that was killed`
        : `cannot remove what a killed run left behind: ${problem}`;
    emit({ type: 'log', level: problem === undefined ? 'info' : 'warn', scope: 'build', message });
  }
}

/** Makes a directory of this process's own in `root`, which says what it is for. */
export async function createWorkDirectory(
  root: string,
  state: Omit<WorkState, 'schema' | 'started'>,
): Promise<WorkDirectory> {
  let path: string;
  try {
    await makeDirectory(root);
    path = await mkdtemp(join(await realpath(root), `${PREFIX}${ownerTag()}-`));
    await writeWorkState(path, state);
  } catch (error) {
    throw ioError(error, `cannot make a work directory in ${root}`);
  }
  let kept = false;
  return {
    path,
    keep: async () => {
      kept = true;
      await writeFile(join(path, KEEP_MARK), '');
    },
    [Symbol.asyncDispose]: async () => {
      if (!kept) await rm(path, { recursive: true, force: true });
    },
  };
}
