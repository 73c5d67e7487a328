import { createLogger, type Emit, type GuestAccess, GuestError } from '@polyvisor/core';
import type { StopReason } from '../machine.js';
import { attemptLogin, type LoggedIn } from './attempt.js';
import { AttemptFailure, type AttemptOutcome } from './attempt-failure.js';
import type { BuildKey } from './build-key.js';
import type { Connection } from './connection.js';
import type { Endpoint } from './first-words.js';
import type { Guest } from './guest.js';
import { HostKeys } from './host-keys.js';
import { machineStopped } from './machine-stopped.js';
import { pause } from './pause.js';
import { Sightings } from './sightings.js';
import { SshGuest } from './ssh-guest.js';

export interface ConnectOptions {
  readonly endpoint: Endpoint;
  readonly access: GuestAccess;
  readonly key: BuildKey;
  /** In milliseconds, until a login succeeds. */
  readonly timeout: number;
  /**
   * In milliseconds: how long a server may refuse the login before it is taken for final. While a guest starts for the first
   * time its server often knows neither key nor password yet; an installer's own server never will, and goes away.
   */
  readonly refusals?: number;
  /** Settles when the machine stops (`Machine.stopped`): then nothing is waited for any longer. */
  readonly stopped?: (signal: AbortSignal) => Promise<StopReason>;
  readonly onAttempt?: (attempt: FailedAttempt) => void;
  readonly emit?: Emit;
  /** Of the events; default `ssh`. */
  readonly stage?: string;
  readonly signal: AbortSignal;
}

/** An attempt to log in that did not succeed. */
export interface FailedAttempt {
  /** Counts from 1. */
  readonly number: number;
  readonly outcome: AttemptOutcome;
  readonly message: string;
}

/** Between two attempts, in milliseconds; a refused login is not repeated as fast, so that no guest takes it for an attack. */
const INTERVAL = 1000;
const INTERVAL_AFTER_REFUSAL = 3000;

/** Default of `ConnectOptions.refusals`. */
const REFUSALS = 120_000;

/**
 * How long a server may be silent before its first words, in milliseconds: at first short, for a forwarded connection that
 * reached no guest never will; then longer, for the guest may be slow.
 */
const FIRST_SILENCE = 5000;
const LONGEST_SILENCE = 60_000;

/** In seconds: what the waiting is called for when it has to end, without being an error that anybody sees. */
const TIME_IS_OVER = Symbol('time is over');

/** Logs in to a guest that may still be starting. Rejects with `GuestError`, or with the signal's reason. */
export async function connectGuest(options: ConnectOptions): Promise<Guest> {
  const hostKeys = new HostKeys();
  return new SshGuest(options, hostKeys, await connect(options, hostKeys));
}

/** The waiting itself, used again after a restart of the guest. */
export async function connect(options: ConnectOptions, hostKeys: HostKeys): Promise<Connection> {
  const { signal, timeout, stopped } = options;
  signal.throwIfAborted();
  const ending = new AbortController();
  const abort = () => ending.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const timer = setTimeout(() => ending.abort(TIME_IS_OVER), timeout);
  void stopped?.(ending.signal).then(
    (reason) => ending.abort(machineStopped(reason, 'waiting for SSH')),
    () => undefined, // It was cancelled, as we are.
  );
  const waiting = new Waiting(options);
  try {
    return await waiting.untilLoggedIn(hostKeys, ending.signal);
  } catch (error) {
    throw error === TIME_IS_OVER ? waiting.timeOut() : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    ending.abort();
  }
}

/** Attempt after attempt, and what came of them. */
class Waiting {
  readonly #options: ConnectOptions;
  readonly #sightings = new Sightings();
  readonly #started = performance.now();
  #attempts = 0;
  #silence = FIRST_SILENCE;
  #shown = '';
  /** Since when the login is refused without a break, in milliseconds since the start. */
  #refusedSince: number | undefined;
  #last: AttemptFailure | undefined;
  #phase: AttemptFailure | undefined;

  constructor(options: ConnectOptions) {
    this.#options = options;
  }

  async untilLoggedIn(hostKeys: HostKeys, signal: AbortSignal): Promise<Connection> {
    this.#show(`SSH at ${this.#place}`);
    for (;;) {
      signal.throwIfAborted();
      let loggedIn: LoggedIn;
      this.#attempts++;
      try {
        loggedIn = await attemptLogin({
          ...this.#options,
          hostKeys,
          bannerTimeout: this.#silence,
          onPhase: (phase) => (this.#phase = phase),
          signal,
        });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof AttemptFailure)) throw error;
        this.#failed(error);
        await pause(error.outcome === 'login-refused' ? INTERVAL_AFTER_REFUSAL : INTERVAL, signal);
        continue;
      }
      if (hostKeys.pin(loggedIn.hostKey))
        this.#log('warn', "the guest's SSH server has a new host key since the restart");
      this.#log('info', `logged in to ${this.#place} (${loggedIn.connection.banner}) after ${this.#seconds()} s`);
      return loggedIn.connection;
    }
  }

  #failed(failure: AttemptFailure): void {
    const now = this.#elapsed;
    this.#sightings.add(failure, now);
    this.#last = failure;
    this.#phase = undefined;
    const { outcome, message } = failure;
    this.#options.onAttempt?.({ number: this.#attempts, outcome, message });
    this.#show(`SSH at ${this.#place}: ${message}`);
    if (outcome === 'no-banner') this.#silence = Math.min(this.#silence * 1.5, LONGEST_SILENCE);
    if (outcome === 'host-key-changed') throw this.#hostKeyChanged(failure);
    if (outcome !== 'login-refused') this.#refusedSince = undefined;
    else {
      this.#refusedSince ??= now;
      if (now - this.#refusedSince >= (this.#options.refusals ?? REFUSALS)) throw this.#loginRefused(failure);
    }
  }

  timeOut(): GuestError {
    if (this.#phase !== undefined) this.#sightings.add(this.#phase, this.#elapsed);
    const last = this.#phase ?? this.#last;
    return new GuestError(
      'ssh-timeout',
      `no login by SSH at ${this.#place} within ${this.#options.timeout / 1000} s; seen in ${this.#attempts} attempts: ${this.#sightings.lines().join('; ')}`,
      { hint: HINTS[last?.outcome ?? 'timed-out'] ?? HINTS['timed-out'], cause: last },
    );
  }

  #loginRefused(cause: AttemptFailure): GuestError {
    const { password } = this.#options.access;
    return new GuestError(
      'ssh-login-refused',
      `the guest's SSH server does not let us in at ${this.#place}, and did not change its mind: ${this.#sightings.lines().join('; ')}`,
      {
        hint:
          password === undefined
            ? "the answers have to put the build's key (`<%= ssh-key %>`) into the guest for this user, or `access` has to name a password"
            : 'is the password under `access` the one that the answers set, and does the server let this user log in with it (PermitRootLogin, PasswordAuthentication)?',
        cause,
      },
    );
  }

  #hostKeyChanged(cause: AttemptFailure): GuestError {
    return new GuestError(
      'ssh-host-key-changed',
      `at ${this.#place} ${cause.message}, not the guest of this build that was there before`,
      {
        hint: 'did the guest restart unasked, or does another machine use the port? nothing was sent to it; build again',
        cause,
      },
    );
  }

  get #place(): string {
    const { endpoint, access } = this.#options;
    return `${access.user}@${endpoint.host}:${endpoint.port}`;
  }

  get #elapsed(): number {
    return performance.now() - this.#started;
  }

  #seconds(): string {
    return (this.#elapsed / 1000).toFixed(1);
  }

  /** Only what is new: an attempt a second would bury everything else. */
  #show(message: string): void {
    if (message === this.#shown) return;
    this.#shown = message;
    this.#options.emit?.({ type: 'waiting', stage: this.#options.stage ?? 'ssh', message });
    this.#log('debug', message);
  }

  #log(level: 'debug' | 'info' | 'warn', message: string): void {
    const { emit } = this.#options;
    if (emit !== undefined) createLogger(emit, 'ssh')[level](message);
  }
}

const HINTS: Readonly<Partial<Record<AttemptOutcome, string>>> = {
  'unknown-host': 'the name of the endpoint cannot be resolved on this computer',
  'no-route': 'does the guest have its address, and is the network of the hypervisor up?',
  refused: 'did the guest start at all? look at its serial log and its last screen',
  'timed-out': 'look at the serial log and the last screen of the guest; `access.timeout` gives it more time',
  'no-banner':
    'the forwarded port is open and nothing in the guest answers: is an SSH server installed, started and on the port of `access.port`, and does the guest have its address?',
  'not-ssh': 'something that is no SSH server has the port of `access.port`',
  'key-exchange':
    'is the guest very slow, or its SSH server very old or just starting? `access.timeout` gives it more time',
  'login-refused': "does the guest get the build's key (`<%= ssh-key %>`), or is the password under `access` right?",
};
