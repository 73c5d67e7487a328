import { GuestError, type InstallerSource, stage } from '@polyvisor/core';
import { expandCommand, waitForFetch } from '../answers/index.js';
import type { BuildKey } from '../ssh/build-key.js';
import type { Guest } from '../ssh/guest.js';
import type { Attended } from './attended.js';
import { bootKeystrokes, typeBootCommand } from './boot-command.js';
import type { InstallStart } from './choose-start.js';
import { Cleanup } from './cleanup.js';
import { login } from './login.js';
import { refuseEmptyDisk } from './refuse-empty-disk.js';
import { makeMachine } from './make-machine.js';
import type { ObtainedMedium } from './obtain-medium.js';
import { offerAnswers } from './offer-answers.js';
import { type Run, scaled } from './run.js';
import { duration } from './time.js';

/** How often is told what is waited for, in milliseconds. */
const TELL = 10_000;
/** From when on a screen and a console that show nothing new are worth telling, in milliseconds. */
const STILL = 60_000;
/** The same as a part of the whole time, where that is short. */
const STILL_PART = 0.25;

/** How an installation ended: with a machine that stopped, or with the installed system running on it. */
export type Installed =
  { readonly kind: 'stopped' } | { readonly kind: 'runs'; readonly attended: Attended; readonly guest: Guest };

export interface Installation {
  readonly source: InstallerSource;
  readonly start: InstallStart;
  readonly medium: ObtainedMedium;
  readonly key: BuildKey;
  /** An empty disk. */
  readonly disk: string;
}

/** Lets the installer put its system on the disk. What has to stay while that runs is left to `cleanup`. */
export async function install(run: Run, installation: Installation, cleanup: Cleanup): Promise<Installed> {
  const { job } = run;
  const mine = new Cleanup();
  try {
    const installed = await stage(
      job.emit,
      'install',
      `installing ${job.appliance.name}`,
      () => startInstaller(run, installation, mine),
      ({ kind }) => (kind === 'stopped' ? 'the machine stopped' : 'SSH answers'),
    );
    if (installed.kind === 'stopped') {
      await mine[Symbol.asyncDispose]();
      run.scene.attended = undefined;
      run.scene.server = undefined;
      await refuseEmptyDisk(run, installation.disk);
    } else cleanup.use(mine);
    return installed;
  } catch (error) {
    // The machine is still looked at before it goes.
    cleanup.use(mine);
    throw error;
  }
}

async function startInstaller(run: Run, installation: Installation, cleanup: Cleanup): Promise<Installed> {
  const { job, log } = run;
  const { source, start, medium, key, disk } = installation;
  const { server, seed, values } = await offerAnswers(run, source, key, cleanup);
  const place = { file: `source of ${job.appliance.name}` };
  const kernelArguments = source.kernelArguments.map((text) => expandCommand(text, values, place));
  const steps = start === 'kernel' ? [] : bootKeystrokes(source.typing, values, job.appliance.name);
  const attended = await makeMachine(
    run,
    {
      purpose: 'install',
      disk,
      media: seed === undefined ? medium.media : [...medium.media, seed],
      port: source.access.port,
      firmwareStrings: [],
    },
    cleanup,
  );
  const from = await medium.start(kernelArguments);
  const limits = { fetch: scaled(run, source.limits.fetch), install: scaled(run, source.limits.install) };
  const answers = server === undefined ? '' : `, ${duration(limits.fetch)} until it fetches its answers`;
  log.info(`the installer has ${duration(limits.install)}${answers} (${run.acceleration.description})`);
  const started = performance.now();
  const left = (limit: number) => Math.max(1, limit - (performance.now() - started));
  await attended.start(from);
  if (steps.length > 0)
    await attended.during(
      'typing the boot command',
      (signal) =>
        typeBootCommand(attended, steps, {
          ...source.typing,
          slowdown: run.acceleration.slowdown,
          emit: job.emit,
          signal,
        }),
      installLimit(attended, left(limits.install), limits.install),
    );
  if (server !== undefined) {
    await attended.during('waiting for the installer to fetch its answers', (signal) =>
      waitForFetch(server, {
        limit: left(limits.fetch),
        hostAddress: run.capabilities.hostAddress,
        emit: job.emit,
        stage: 'install',
        signal,
      }),
    );
  }
  return untilInstalled(run, attended, installation, left(limits.install), limits.install);
}

/** Whatever starts from a kernel or the network stops when it is done; from a medium the installed system may come up by itself. */
async function untilInstalled(
  run: Run,
  attended: Attended,
  { source: { access }, start, key }: Installation,
  left: number,
  whole: number,
): Promise<Installed> {
  const tell = () => attended.say('install', `the end of the installation, for ${duration(whole)} at most`);
  tell();
  const timer = setInterval(tell, TELL);
  try {
    return await attended.untilStopped<Installed>(
      'waiting for the end of the installation',
      ({ kind }) => (kind === 'off' || kind === 'restarted' ? { kind: 'stopped' } : undefined),
      installLimit(attended, left, whole),
      // The installer's own SSH server, if it has one, refuses us for as long as it runs.
      start === 'media'
        ? async (signal) => {
            const guest = await login(run, attended, {
              access,
              key,
              timeout: left,
              refusals: Infinity,
              stage: 'install',
              signal,
            });
            return { kind: 'runs', attended, guest };
          }
        : undefined,
    );
  } finally {
    clearInterval(timer);
  }
}

function installLimit(attended: Attended, milliseconds: number, whole: number) {
  return { milliseconds, error: () => installTimeout(attended, whole) };
}

function installTimeout({ console, screen, waiting }: Attended, whole: number): GuestError {
  const still = Math.min(STILL, whole * STILL_PART);
  const facts = [
    ...(screen.png !== undefined && screen.stillFor > still
      ? [`its screen has shown the same for ${duration(screen.stillFor)}`]
      : []),
    ...(console.bytes > 0 && console.stillFor > still
      ? [`its console has said nothing new for ${duration(console.stillFor)}`]
      : []),
    ...(console.lastLine === ''
      ? []
      : [`the console's last line is ${JSON.stringify(console.lastLine.slice(0, 200))}`]),
  ];
  return new GuestError(
    'install-timeout',
    `the installation was not over after ${duration(whole)}, while ${waiting}${facts.length === 0 ? '' : `: ${facts.join(', ')}`}`,
    {
      hint: facts.some((fact) => /same|nothing new/.test(fact))
        ? 'the installer seems to wait for somebody: look at its last screen for the question, and answer it in the answer file'
        : 'it may need more time: raise `limits.install`; or look at its last screen for a question',
      transcript: console.text.tail(20).join('\n'),
    },
  );
}
