import { lstat } from 'node:fs/promises';
import { EnvironmentError, type Provisioner } from '@polyvisor/core';
import { provisionDirectory, readWorkState } from './work-state.js';

/** Finds a provisioner by its id; undefined when no loaded plugin brings it. */
export type FindProvisioner = (id: string) => Provisioner | undefined;

/**
 * Has the provisioner that made a work directory end and remove what belongs to it elsewhere. Rejects when that provisioner is
 * not loaded or fails; then the directory has to stay, as it is all that is known of what is left.
 */
export async function discardWork(workDir: string, find: FindProvisioner, signal: AbortSignal): Promise<void> {
  const state = await readWorkState(workDir);
  if (state?.provisioner === undefined) return;
  const ownDir = provisionDirectory(workDir);
  // Without it the provisioner was never started.
  if ((await lstat(ownDir).catch(() => undefined)) === undefined) return;
  const provisioner = find(state.provisioner);
  if (provisioner === undefined) {
    throw new EnvironmentError(
      'provisioner-absent',
      `it was made by the provisioner ${state.provisioner}, which no loaded plugin brings`,
      { hint: `load its plugin: polyvisor clean --plugin <name>` },
    );
  }
  await provisioner.discard?.(ownDir, signal);
}
