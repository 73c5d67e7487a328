import { type GuestAccess, type Medium, stage } from '@polyvisor/core';
import { provisionGuest } from '../guest/provision-guest.js';
import type { BuildKey } from '../ssh/build-key.js';
import type { Guest } from '../ssh/guest.js';
import type { Attended } from './attended.js';
import type { Cleanup } from './cleanup.js';
import { login } from './login.js';
import { makeMachine } from './make-machine.js';
import { type Run, scaled } from './run.js';
import { switchOff } from './switch-off.js';
import { duration } from './time.js';

/** How often is told what is waited for, in milliseconds. */
const TELL = 10_000;
/** How long a server may refuse us before that is taken for final, in milliseconds with hardware acceleration. */
const REFUSALS = 120_000;

/** A finished system on a disk. */
export interface BootableDisk {
  readonly disk: string;
  readonly media: readonly Medium[];
  readonly access: GuestAccess;
  readonly key: BuildKey;
}

/** Starts a machine from the disk and logs in. */
export async function boot(
  run: Run,
  { disk, media, access, key }: BootableDisk,
  cleanup: Cleanup,
): Promise<[Attended, Guest]> {
  const { job, log } = run;
  return stage(job.emit, 'boot', 'starting the system from its disk', async () => {
    const attended = await makeMachine(
      run,
      { purpose: 'boot', disk, media, port: access.port, firmwareStrings: keyStrings(run, access, key) },
      cleanup,
    );
    const timeout = scaled(run, access.timeout);
    log.info(`SSH has ${duration(timeout)} to answer (${run.acceleration.description})`);
    await attended.start({ kind: 'disk' });
    const tell = setInterval(() => attended.say('boot', `SSH, for ${duration(timeout)} at most`), TELL);
    try {
      const guest = await attended.during('waiting for SSH', (signal) =>
        login(run, attended, {
          access,
          key,
          timeout,
          refusals: Math.min(scaled(run, REFUSALS), timeout / 2),
          stage: 'boot',
          signal,
        }),
      );
      return [attended, cleanup.use(guest)];
    } finally {
      clearInterval(tell);
    }
  });
}

/** systemd 252 and later put a credential of this name into root's authorized_keys, without any agent in the guest. */
function keyStrings({ capabilities }: Run, { user }: GuestAccess, { publicKey }: BuildKey): string[] {
  if (!capabilities.firmwareStrings || user !== 'root') return [];
  const line = Buffer.from(`${publicKey}\n`).toString('base64');
  return [`io.systemd.credential.binary:ssh.authorized_keys.root=${line}`];
}

/** Makes the system what the definition asks for, seals it and switches it off. Resolves to its inventory. */
export async function complete(
  run: Run,
  attended: Attended,
  guest: Guest,
  { access, key }: Pick<BootableDisk, 'access' | 'key'>,
): Promise<Readonly<Record<string, string>>> {
  const { job } = run;
  const inventory = await attended.during('setting the system up over SSH', (signal) =>
    provisionGuest(guest, {
      appliance: job.appliance,
      seal: job.seal,
      key,
      emit: job.emit,
      slowdown: run.acceleration.slowdown,
      signal,
    }),
  );
  await switchOff(run, attended, guest, access);
  return inventory;
}
