import { randomBytes } from 'node:crypto';
import { type GuestAccess, GuestError } from '@polyvisor/core';
import type { ClientChannel } from 'ssh2';
import type { StopReason } from '../machine.js';
import { type Become, startCommand } from './become.js';
import { Command } from './command.js';
import { connect, type ConnectOptions } from './connect.js';
import type { Connection } from './connection.js';
import type { ExecOptions, ExecResult, Guest, RestartOptions, UploadOptions } from './guest.js';
import type { HostKeys } from './host-keys.js';
import { KILL_ALL } from './kill.js';
import { machineStopped } from './machine-stopped.js';
import { restartGuest } from './restart.js';
import { uploadToGuest } from './upload.js';

/** How long a dead connection waits for the machine to be known as stopped, in milliseconds; it is noticed within a second. */
const STOP_NOTICED = 2500;

/** For ending what a command started, in milliseconds. */
const KILL_TIMEOUT = 30_000;

/** The same when the guest is let go: nobody waits that long for a machine that is about to be switched off. */
const LAST_KILLS = 5000;

/** Lines of output that an error shows. */
const SHOWN = 20;

/** A guest over one connection, which is made anew after a restart. */
export class SshGuest implements Guest {
  readonly #options: ConnectOptions;
  readonly #hostKeys: HostKeys;
  /** Ends what watches the machine. */
  readonly #disposed = new AbortController();
  readonly #killing = new Set<Promise<unknown>>();
  readonly #running = new Set<() => Promise<void>>();
  #connection: Connection;
  #access: GuestAccess;
  /** Of `sudo` or `su`, which asks for root's. */
  #becomePassword: string | undefined;
  #stopped: StopReason | undefined;
  readonly #machineStops: Promise<StopReason>;

  constructor(options: ConnectOptions, hostKeys: HostKeys, connection: Connection) {
    this.#options = options;
    this.#hostKeys = hostKeys;
    this.#connection = connection;
    this.#access = options.access;
    this.#becomePassword = options.access.password;
    this.#machineStops = new Promise((resolve) => {
      void options.stopped?.(this.#disposed.signal).then(
        (reason) => {
          this.#stopped = reason;
          resolve(reason);
          this.#connection.end();
        },
        () => undefined,
      );
    });
  }

  get access(): GuestAccess {
    return this.#access;
  }

  usePassword(user: string, password: string): void {
    const { user: login, become } = this.#access;
    if (user === login) this.#access = { ...this.#access, password };
    if (user === (become === 'su' ? 'root' : login)) this.#becomePassword = password;
  }

  exec(script: string, options: ExecOptions = {}): Promise<ExecResult> {
    const signal = AbortSignal.any([options.signal ?? this.#options.signal, this.#disposed.signal]);
    return this.#run(script, options, signal, true);
  }

  /** `killable`: what it started is ended with it; not so for what ends others, which would never come to an end. */
  async #run(script: string, options: ExecOptions, signal: AbortSignal, killable: boolean): Promise<ExecResult> {
    const { timeout, acceptExitCodes = [0], purpose = 'running a command' } = options;
    signal.throwIfAborted();
    const become: Become = options.root === true ? this.access.become : 'none';
    const mark = randomBytes(12).toString('hex');
    const connection = this.#connection;
    const channel = await this.#open(connection, startCommand(become, mark), purpose, signal);
    const command = new Command(channel, { become, mark, password: this.#becomePassword }, script, options);
    const kill = () => this.#kill(mark, options.root === true);
    if (killable) this.#running.add(kill);
    let timer: NodeJS.Timeout | undefined;
    let aborted: () => void = () => undefined;
    try {
      const ended = await Promise.race([
        command.ended,
        new Promise<never>((_, reject) => {
          aborted = () => reject(signal.reason as Error);
          signal.addEventListener('abort', aborted, { once: true });
        }),
        new Promise<'time is over'>((resolve) => {
          if (timeout !== undefined) timer = setTimeout(() => resolve('time is over'), timeout);
        }),
      ]);
      if (ended === 'time is over') {
        await kill();
        throw this.#timedOut(command, purpose, timeout ?? 0);
      }
      const { exitCode } = ended;
      if (exitCode === undefined) throw await this.#lost(connection, purpose, command.transcript.lastLines(SHOWN));
      if (acceptExitCodes !== 'any' && !acceptExitCodes.includes(exitCode)) {
        throw new GuestError('guest-command-failed', `${purpose} failed in the guest with exit code ${exitCode}`, {
          transcript: command.transcript.lastLines(SHOWN),
        });
      }
      return { exitCode, stdout: command.stdout.text(), stderr: command.stderr.text() };
    } catch (error) {
      // In the background: who cancels does not wait, but `dispose` does.
      if (signal.aborted && killable) void kill();
      command.abandon();
      throw error;
    } finally {
      this.#running.delete(kill);
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
    }
  }

  upload(from: string, to: string, options: UploadOptions = {}): Promise<void> {
    return uploadToGuest(this, from, to, { signal: this.#options.signal, ...options });
  }

  restart(options: RestartOptions = {}): Promise<void> {
    const { signal, timeout } = this.#options;
    return restartGuest(this, (limit, changes) => this.#reconnect(limit, changes), { signal, timeout, ...options });
  }

  async #reconnect(timeout: number, changes: Partial<ConnectOptions>): Promise<void> {
    this.#connection.end();
    this.#hostKeys.expectRestart();
    this.#connection = await connect({ ...this.#options, ...changes, access: this.#access, timeout }, this.#hostKeys);
    if (this.#disposed.signal.aborted || this.#stopped !== undefined) this.#connection.end();
  }

  async bootId(signal: AbortSignal = this.#options.signal): Promise<string> {
    const { stdout } = await this.exec('cat /proc/sys/kernel/random/boot_id 2>/dev/null', {
      acceptExitCodes: 'any',
      purpose: 'asking when the guest started',
      timeout: 60_000,
      signal,
    });
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed.signal.aborted) return;
    for (const kill of this.#running) void kill();
    this.#disposed.abort(new GuestError('ssh-connection-lost', 'the connection to the guest was ended'));
    const kills = Promise.all(this.#killing);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([kills, new Promise((resolve) => (timer = setTimeout(resolve, LAST_KILLS)))]);
    clearTimeout(timer);
    this.#connection.end();
  }

  async #open(connection: Connection, command: string, purpose: string, signal: AbortSignal): Promise<ClientChannel> {
    if (connection.gone !== undefined) throw await this.#lost(connection, purpose);
    const opening = connection.start(command);
    let aborted: () => void = () => undefined;
    try {
      return await Promise.race([
        opening,
        new Promise<never>((_, reject) => {
          aborted = () => reject(signal.reason as Error);
          signal.addEventListener('abort', aborted, { once: true });
        }),
      ]);
    } catch (error) {
      void opening.then((channel) => channel.close()).catch(() => undefined);
      signal.throwIfAborted();
      if (connection.gone !== undefined || this.#stopped !== undefined) throw await this.#lost(connection, purpose);
      throw new GuestError('ssh-no-session', `the guest's SSH server runs no command (${purpose}): ${String(error)}`, {
        hint: 'does its configuration limit sessions (MaxSessions) or force a command?',
        cause: error,
      });
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }

  /** The connection is gone: because of the machine, if that stopped; the network or the guest otherwise. */
  async #lost(connection: Connection, during: string, transcript?: string): Promise<GuestError> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), STOP_NOTICED)));
    const reason = this.#stopped ?? (await Promise.race([this.#machineStops, late]));
    clearTimeout(timer);
    if (reason !== undefined) return machineStopped(reason, during, transcript);
    return new GuestError(
      'ssh-connection-lost',
      connection.gone === undefined
        ? `the guest did not say how it ended: ${during}`
        : `the connection to the guest broke while ${during}: ${connection.gone}`,
      {
        hint: 'did the guest restart, its SSH server or its network? the serial log shows it',
        transcript,
      },
    );
  }

  #timedOut(command: Command, purpose: string, timeout: number): GuestError {
    return new GuestError(
      'guest-command-timeout',
      `${purpose} took more than ${timeout / 1000} s in the guest and was ended, with all that it had started`,
      { transcript: command.transcript.lastLines(SHOWN) },
    );
  }

  /** Ends what a command started. Never rejects: there is an error already. */
  async #kill(mark: string, root: boolean): Promise<void> {
    if (this.#connection.gone !== undefined || this.#disposed.signal.aborted) return;
    const options: ExecOptions = { root, arguments: [mark], acceptExitCodes: 'any', purpose: 'ending a command' };
    const killing = this.#run(KILL_ALL, options, AbortSignal.timeout(KILL_TIMEOUT), false).catch(() => undefined);
    this.#killing.add(killing);
    await killing;
    this.#killing.delete(killing);
  }
}
