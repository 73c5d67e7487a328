import { errorKind, GuestError, type PolyvisorError } from '@polyvisor/core';
import type { ConnectOptions } from './connect.js';
import type { Guest } from './guest.js';
import { pause } from './pause.js';

/** Between two looks at a guest that still goes down, in milliseconds. */
const INTERVAL = 2000;

/** For the order to restart, in milliseconds: a guest that goes down already may never answer it. */
const ORDER_TIMEOUT = 60_000;

const RESTART = `
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then systemctl reboot; else reboot; fi
`;

/** Gives up the connection that is there and makes another one. */
export type Reconnect = (timeout: number, changes: Partial<ConnectOptions>) => Promise<void>;

export interface RestartLimits {
  readonly since?: string;
  /** In milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/**
 * Orders a restart and waits for it. Only another boot id tells that the guest restarted; a connection that breaks tells
 * nothing. A guest without one has restarted when SSH was gone for a while.
 */
export async function restartGuest(guest: Guest, reconnect: Reconnect, limits: RestartLimits): Promise<void> {
  const { timeout, signal } = limits;
  const deadline = performance.now() + timeout;
  let refusal: unknown;
  const before = limits.since ?? (await guest.bootId(signal));
  if (limits.since === undefined || (await currentBoot(guest, signal)) === before) refusal = await order(guest, signal);
  let wasGone = false;
  const onAttempt = () => {
    wasGone = true;
  };
  for (let connected = false; ;) {
    const left = deadline - performance.now();
    if (left <= 0) throw notRestarted(timeout, refusal);
    if (!connected) await reconnect(left, { signal, onAttempt });
    const now = await currentBoot(guest, signal);
    connected = now !== undefined;
    if (connected && (before === '' ? wasGone : now !== before)) return;
    wasGone ||= !connected;
    await pause(INTERVAL, signal);
  }
}

/** Undefined when there is nobody to ask. */
async function currentBoot(guest: Guest, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await guest.bootId(signal);
  } catch (error) {
    signal.throwIfAborted();
    throwUnlessGone(error);
    return undefined;
  }
}

/** Returns why the guest did not take the order, if it said so. */
async function order(guest: Guest, signal: AbortSignal): Promise<unknown> {
  try {
    await guest.exec(RESTART, { root: true, timeout: ORDER_TIMEOUT, purpose: 'restarting', signal });
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if ((error as PolyvisorError).code === 'machine-stopped') throw error;
    if (errorKind(error) !== 'guest') throw error;
    return error;
  }
}

function throwUnlessGone(error: unknown): void {
  const { code } = error as PolyvisorError;
  if (errorKind(error) !== 'guest' || code === 'machine-stopped') throw error;
}

function notRestarted(timeout: number, cause: unknown): GuestError {
  return new GuestError('restart-failed', `the guest did not restart within ${timeout / 1000} s`, {
    hint: 'it answers by SSH, but as the one that it was before: does `reboot` work in it?',
    cause,
    transcript: (cause as GuestError | undefined)?.transcript,
  });
}
