import { type Appliance, createLogger, type Emit, stage } from '@polyvisor/core';
import type { BuildKey } from '../ssh/build-key.js';
import type { Guest } from '../ssh/guest.js';
import { copyFiles } from './files.js';
import { takeInventory } from './inventory.js';
import { installPackages } from './packages.js';
import { removeBuildKey } from './remove-key.js';
import { runScripts } from './scripts.js';
import { sealGuest, sealNote } from './seal.js';
import { applySettings } from './settings.js';
import { awaitFirstBoot } from './first-boot.js';
import { checkPasswords, makeUsers } from './users.js';
import type { Work } from './work.js';

export interface ProvisionGuestOptions {
  readonly appliance: Appliance;
  /** See `ProvisionJob.seal`. */
  readonly seal: string;
  readonly key: BuildKey;
  readonly emit: Emit;
  /** See `Acceleration.slowdown`; default 1. */
  readonly slowdown?: number;
  readonly signal: AbortSignal;
}

/**
 * Makes a guest what its definition asks for: packages, settings, users, files, scripts; then the seal and the removal of the
 * build's key. Resolves to the versions of what the system is made of.
 *
 * Afterwards nobody can log in any more, for keys are gone on both sides, but the connection that is there still runs
 * commands: the one that switches the guest off is to be the only one.
 */
export async function provisionGuest(
  guest: Guest,
  { appliance, seal, key, emit, slowdown = 1, signal }: ProvisionGuestOptions,
): Promise<Readonly<Record<string, string>>> {
  const work: Work = { guest, appliance, key, emit, slowdown, signal, log: createLogger(emit, 'guest') };
  signal.throwIfAborted();
  checkPasswords(work);
  await stage(emit, 'first-boot', "Waiting for the end of the guest's first start", () => awaitFirstBoot(work));
  await stage(emit, 'packages', 'Installing packages', () => installPackages(work));
  await stage(emit, 'customise', 'Setting the system up', async () => {
    await applySettings(work);
    await makeUsers(work);
    await copyFiles(work);
    await runScripts(work);
  });
  const inventory = await takeInventory(work);
  await stage(
    emit,
    'seal',
    'Sealing',
    async () => {
      const reset = await sealGuest(work, seal);
      await removeBuildKey(work);
      return reset;
    },
    sealNote,
  );
  return inventory;
}
