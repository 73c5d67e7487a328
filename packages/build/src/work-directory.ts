import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ioError, makeDirectory, ownerTag, type Emit } from '@polyvisor/core';
import { findStale, KEEP_MARK, removeStale } from './stale.js';

const PREFIX = 'polyvisor-';
const RANDOM_END = /^-[A-Za-z0-9]{6}$/;

/** Where everything temporary of one build is. Disposing removes it; see `keep`. */
export interface WorkDirectory extends AsyncDisposable {
  readonly path: string;
  /** Makes this and later runs leave it alone. */
  keep(): Promise<void>;
}

/** Removes the work directories whose process is dead, by `discard` where this user's rights do not do. Those that cannot be removed are reported and stay. */
export async function cleanWorkRoot(
  root: string,
  emit: Emit,
  discard?: (path: string) => Promise<void>,
): Promise<void> {
  for (const { path } of await findStale(root, new RegExp(`^${PREFIX}$`), RANDOM_END)) {
    const problem = await removeStale(path, discard);
    const message =
      problem === undefined
        ? `removed ${path}, left behind by a run that was killed`
        : `cannot remove what a killed run left behind: ${problem}`;
    emit({ type: 'log', level: problem === undefined ? 'info' : 'warn', scope: 'build', message });
  }
}

/** Makes a directory of this process's own in `root`, after removing those whose process is dead. */
export async function createWorkDirectory(root: string, emit: Emit): Promise<WorkDirectory> {
  try {
    await makeDirectory(root);
    const parent = await realpath(root);
    await cleanWorkRoot(parent, emit);
    const path = await mkdtemp(join(parent, `${PREFIX}${ownerTag()}-`));
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
  } catch (error) {
    throw ioError(error, `cannot make a work directory in ${root}`);
  }
}
