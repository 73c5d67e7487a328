import { join } from 'node:path';
import { type DiskSourceImage, GuestError, type InstallerSource, type ProvisionedDisk, stage } from '@polyvisor/core';
import { createBuildKey, type BuildKey } from '../ssh/build-key.js';
import { boot, type BootableDisk, complete } from './boot.js';
import { chooseStart } from './choose-start.js';
import { Cleanup } from './cleanup.js';
import { copyDisk } from './copy-disk.js';
import { emptyDisk } from './empty-disk.js';
import { install } from './install.js';
import { KeptDisks } from './kept-disks.js';
import { obtainMedium } from './obtain-medium.js';
import { offerAnswers } from './offer-answers.js';
import { resumeKey } from './resume-key.js';
import type { Run } from './run.js';

/** Makes the disk of an appliance with one machine, or with two: the installer's and the system's. */
export async function provisionMachine(run: Run): Promise<ProvisionedDisk> {
  const { job, log, scene } = run;
  const cleanup = new Cleanup();
  try {
    const made = await makeDisk(run, cleanup);
    const disk = cleanup.use(await job.images.open(made.path, run.capabilities.diskFormat));
    return { disk, inventory: made.inventory, [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose]() };
  } catch (error) {
    if (!job.signal.aborted) await scene.failed(error).catch((problem: unknown) => log.warn(String(problem)));
    // What went wrong first is what counts.
    await cleanup[Symbol.asyncDispose]().catch((problem: unknown) => log.warn(`cleaning up: ${String(problem)}`));
    job.signal.throwIfAborted();
    throw error;
  }
}

async function makeDisk(run: Run, cleanup: Cleanup) {
  const { source } = run.job.appliance;
  const path = join(run.job.workDir, `disk.${run.capabilities.diskFormat}`);
  run.scene.disk = path;
  const machines = cleanup.use(new Cleanup());
  let inventory: Readonly<Record<string, string>>;
  if (source.kind === 'installer') inventory = await fromInstaller(run, source, path, machines);
  else if (source.kind === 'disk') inventory = await fromDisk(run, source, path, machines);
  else throw new Error(`${run.id} was given a source of ${source.kind}`);
  // The disk may be opened only when no machine holds it any more.
  await machines[Symbol.asyncDispose]();
  run.scene.attended = undefined;
  return { path, inventory };
}

async function fromInstaller(run: Run, source: InstallerSource, path: string, cleanup: Cleanup) {
  const { job, capabilities, log } = run;
  const chosen = chooseStart(source, run.firmware, capabilities);
  if ('refusal' in chosen) throw new Error(`${run.id} took a source that it refuses: ${chosen.refusal}`);
  const { start } = chosen;
  // With stand-ins first: mistakes in the answers are told before anything is fetched.
  await resumeKey(run, source, start, {});
  run.scene.doing = 'obtaining the installer';
  const medium = await obtainMedium(run, source.medium, start);
  const name = await resumeKey(run, source, start, medium.checksums);
  const kept = new KeptDisks(run);
  const known = job.resume ? await kept.take(name, path) : undefined;
  if (known !== undefined) {
    log.info('the system was installed by an earlier run with equal inputs: going on from its disk');
    return bootAndComplete(run, { disk: path, media: [], access: source.access, key: known }, cleanup);
  }
  if (job.resume) log.info('no earlier run with equal inputs finished the installation: it is done now');
  const key = createBuildKey();
  run.scene.doing = 'making an empty disk';
  await job.images.write(emptyDisk(job.appliance.disk.size), capabilities.diskFormat, path);
  const installed = await install(run, { source, start, medium, key, disk: path }, cleanup);
  if (installed.kind === 'runs')
    return complete(run, installed.attended, cleanup.use(installed.guest), { access: source.access, key });
  await stage(job.emit, 'keep', 'keeping the installed disk for --resume', () => keep(run, kept, name, path, key));
  return bootAndComplete(run, { disk: path, media: [], access: source.access, key }, cleanup);
}

async function fromDisk(run: Run, source: DiskSourceImage, path: string, cleanup: Cleanup) {
  const { job, scene } = run;
  const key: BuildKey = createBuildKey();
  const { seed } = await offerAnswers(run, source, key, cleanup);
  scene.doing = 'copying the disk';
  await stage(job.emit, 'copy', 'copying the disk', () => copyDisk(run, source, path));
  const media = seed === undefined ? [] : [seed];
  return bootAndComplete(run, { disk: path, media, access: source.access, key }, cleanup);
}

async function bootAndComplete(run: Run, system: BootableDisk, cleanup: Cleanup) {
  const [attended, guest] = await boot(run, system, cleanup).catch((error: unknown) => {
    throw withFirmwareHint(run, error);
  });
  return complete(run, attended, guest, system);
}

/** That it cannot be kept costs a later run time, and this one nothing. */
async function keep({ job, log }: Run, kept: KeptDisks, name: string, path: string, key: BuildKey): Promise<void> {
  try {
    await kept.keep(name, path, key);
  } catch (error) {
    job.signal.throwIfAborted();
    log.warn(`the installed disk is not kept, so a later run cannot go on from it: ${(error as Error).message}`);
  }
}

/** A boot entry that the installer left in the firmware's own memory does not travel with the disk. */
function withFirmwareHint({ firmware, job }: Run, error: unknown): unknown {
  if (firmware !== 'uefi' || job.appliance.source.kind !== 'installer') return error;
  const { code, message, hint, transcript } = error as GuestError;
  if (code !== 'ssh-timeout') return error;
  return new GuestError(code, message, {
    hint: `${hint ?? ''}; UEFI finds the disk by \\EFI\\BOOT alone, where the installer has to put its boot loader too (Debian: grub-installer/force-efi-extra-removable)`,
    transcript,
    cause: error,
  });
}
