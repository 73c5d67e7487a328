import { type GuestAccess, stage } from '@polyvisor/core';
import type { Guest } from '../ssh/guest.js';
import type { Attended } from './attended.js';
import { type Run, scaled } from './run.js';
import { stopError } from './stop-errors.js';
import { duration } from './time.js';

/** How long a guest may take to switch off, and to take the command for it, in milliseconds with hardware acceleration. */
const SWITCH_OFF = 120_000;
const COMMAND = 20_000;

/**
 * Switches the guest off, by its command or by the button. One that does not obey loses its power: everything was written to its
 * disk before.
 */
export async function switchOff(run: Run, attended: Attended, guest: Guest, { shutdown }: GuestAccess): Promise<void> {
  const { job, log } = run;
  const limit = scaled(run, SWITCH_OFF);
  await stage(job.emit, 'shut-down', 'switching the guest off', async () => {
    await attended.during('writing everything to the disk of the guest', (signal) =>
      guest.exec('sync', { root: true, purpose: 'writing everything to the disk', timeout: limit, signal }),
    );
    const how = shutdown === undefined ? 'the power button was pressed' : `\`${shutdown}\` was run`;
    attended.waiting = 'waiting for the guest to switch off';
    if (shutdown === undefined) await attended.machine.powerOff('button', job.signal);
    else await runShutdown(run, guest, shutdown);
    attended.say('shut-down', `the guest to switch off, for ${duration(limit)} at most; ${how}`);
    const reason = await attended.stopReason(limit);
    job.signal.throwIfAborted();
    if (reason === undefined) {
      log.warn(`the guest did not switch off within ${duration(limit)} after ${how}: its power is cut`);
      await attended.machine.powerOff('hard', job.signal);
    } else if (reason.kind !== 'off' && reason.kind !== 'restarted') throw stopError(reason, attended.waiting);
  });
}

/** The connection goes down with the guest, which may come before the command's own end. What counts is whether it stops. */
async function runShutdown(run: Run, guest: Guest, command: string): Promise<void> {
  try {
    await guest.exec(command, {
      root: true,
      acceptExitCodes: 'any',
      purpose: 'switching off',
      timeout: scaled(run, COMMAND),
      signal: run.job.signal,
    });
  } catch (error) {
    run.job.signal.throwIfAborted();
    run.log.debug(`the shutdown command: ${(error as Error).message}`);
  }
}
