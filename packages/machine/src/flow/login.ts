import type { GuestAccess } from '@polyvisor/core';
import type { BuildKey } from '../ssh/build-key.js';
import { connectGuest } from '../ssh/connect.js';
import type { Guest } from '../ssh/guest.js';
import type { Attended } from './attended.js';
import type { Run } from './run.js';

export interface Login {
  readonly access: GuestAccess;
  readonly key: BuildKey;
  /** In milliseconds, for this machine. */
  readonly timeout: number;
  /** See `ConnectOptions.refusals`. */
  readonly refusals?: number;
  readonly stage: string;
  /** Ends the attempts, not the guest that came of them. */
  readonly signal: AbortSignal;
}

/** Logs in to the guest, and lets a person do the same when something fails from then on. */
export async function login(
  { job, scene }: Run,
  attended: Attended,
  { access, key, timeout, refusals, stage, signal }: Login,
): Promise<Guest> {
  const attempts = new AbortController();
  const end = () => attempts.abort(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  try {
    const guest = await connectGuest({
      endpoint: await attended.machine.endpoint(access.port),
      access,
      key,
      timeout,
      ...(refusals === undefined ? {} : { refusals }),
      stopped: (scope) => attended.machine.stopped(scope),
      emit: job.emit,
      stage,
      signal: AbortSignal.any([job.signal, attempts.signal]),
    });
    scene.guest = { access, key };
    return guest;
  } finally {
    signal.removeEventListener('abort', end);
  }
}
