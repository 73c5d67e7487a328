import { rm } from 'node:fs/promises';
import type { PluginContext } from '@polyvisor/core';
import { unshareArguments } from './sandbox.js';

/** Codes of a removal for which the files' owner is asked. */
const FORBIDDEN = ['EACCES', 'EPERM'];

/** Removes a directory with a guest's tree in it, whose files may belong to subordinate ids: these are users of a namespace only. */
export async function removeTree(context: PluginContext, path: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!FORBIDDEN.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    const command = ['rm', '-rf', '--one-file-system', '--', path];
    await context.run('unshare', [...unshareArguments('user'), ...command], { signal });
  }
}
