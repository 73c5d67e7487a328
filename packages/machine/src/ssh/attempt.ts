import type { Socket } from 'node:net';
import type { GuestAccess } from '@polyvisor/core';
import type { AnyAuthMethod, AuthenticationType, AuthHandlerMiddleware, Client, Prompt } from 'ssh2';
import { AttemptFailure } from './attempt-failure.js';
import type { BuildKey } from './build-key.js';
import { Connection } from './connection.js';
import { type Endpoint, openSocket, readBanner } from './first-words.js';
import { fingerprint, type HostKeys } from './host-keys.js';
import { printable } from './printable.js';

/** In milliseconds. The forwarded port is on this computer. */
const CONNECT_TIMEOUT = 10_000;

/** From the server's first words to the login, in milliseconds: a guest that is interpreted takes 10 s, a busy one much longer. */
const LOGIN_TIMEOUT = 180_000;

/** In milliseconds, and how many may stay without answer: a guest that swaps or is interpreted can be deaf for a while. */
const KEEPALIVE = { keepaliveInterval: 30_000, keepaliveCountMax: 10 };

export interface AttemptOptions {
  readonly endpoint: Endpoint;
  readonly access: GuestAccess;
  readonly key: BuildKey;
  readonly hostKeys: HostKeys;
  /** How long the server may be silent before its first words, in milliseconds. */
  readonly bannerTimeout: number;
  /** What would be the reason if it ended now. */
  readonly onPhase: (phase: AttemptFailure) => void;
  readonly signal: AbortSignal;
}

export interface LoggedIn {
  readonly connection: Connection;
  /** The server's host key. */
  readonly hostKey: Buffer;
}

/** One attempt to log in. Rejects with `AttemptFailure`, or with the signal's reason. */
export async function attemptLogin(options: AttemptOptions): Promise<LoggedIn> {
  const { endpoint, onPhase, signal } = options;
  onPhase(new AttemptFailure('timed-out', 'timed out'));
  const socket = await openSocket(endpoint, CONNECT_TIMEOUT, signal);
  try {
    onPhase(new AttemptFailure('no-banner', 'accepted but no SSH banner'));
    const banner = await readBanner(socket, options.bannerTimeout, signal);
    return await logIn(socket, banner, options);
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    throw error;
  }
}

async function logIn(
  socket: Socket,
  banner: string,
  { access, key, hostKeys, onPhase, signal }: AttemptOptions,
): Promise<LoggedIn> {
  const { default: ssh2 } = await import('ssh2');
  signal.throwIfAborted();
  const client: Client = new ssh2.Client();
  const connection = new Connection(client, socket, banner);
  let hostKey = Buffer.alloc(0);
  const login = new Login(access, key, () => hostKeys.trustsWithPassword(hostKey));
  let phase = new AttemptFailure('key-exchange', `banner ${printable(banner)}, key exchange did not end`);
  onPhase(phase);
  try {
    await new Promise<void>((resolve, reject) => {
      const aborted = () => reject(signal.reason as Error);
      const timer = setTimeout(() => reject(phase), LOGIN_TIMEOUT);
      client.once('close', () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        reject(login.failure(banner) ?? brokenOff(banner, phase));
      });
      signal.addEventListener('abort', aborted, { once: true });
      client.once('handshake', () => {
        phase = new AttemptFailure('broken-off', `banner ${printable(banner)}, login did not end`);
        onPhase(phase);
      });
      client.once('ready', () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        resolve();
      });
      client.once('error', (error) => reject(login.failure(banner) ?? failureOf(error, banner, phase)));
      client.connect({
        sock: socket,
        username: access.user,
        readyTimeout: 0,
        ...KEEPALIVE,
        algorithms: {
          // What old systems have; newer ones agree on something better, which comes first.
          kex: { append: ['diffie-hellman-group14-sha1'], prepend: [], remove: [] },
        },
        // Its types do not know that `false` ends the login.
        authHandler: ((allowed, _partial, next) => next(login.next(allowed) as AnyAuthMethod)) as AuthHandlerMiddleware,
        hostVerifier: (presented: Buffer) => {
          hostKey = Buffer.from(presented);
          if (hostKeys.accepts(hostKey)) return true;
          reject(
            new AttemptFailure('host-key-changed', `another SSH server answers, with the key ${fingerprint(hostKey)}`),
          );
          return false;
        },
      });
    });
    return { connection, hostKey };
  } catch (error) {
    connection.end();
    throw error;
  }
}

/** Offers what there is, in order: the build's key, then the password where the server wants one. */
class Login {
  readonly #access: GuestAccess;
  readonly #key: BuildKey;
  readonly #mayUsePassword: () => boolean;
  readonly #offered: AuthenticationType[] = [];
  #allowed: readonly AuthenticationType[] = [];
  #refused = false;

  constructor(access: GuestAccess, key: BuildKey, mayUsePassword: () => boolean) {
    this.#access = access;
    this.#key = key;
    this.#mayUsePassword = mayUsePassword;
  }

  /** `allowed` is what the server said that it takes, after a first refusal. */
  next(allowed: readonly AuthenticationType[] | null): AnyAuthMethod | false {
    const { user: username, password } = this.#access;
    if (allowed !== null) {
      this.#refused = true;
      this.#allowed = allowed;
    }
    if (this.#offered.length === 0) {
      this.#offered.push('publickey');
      return { type: 'publickey', username, key: this.#key.privateKey };
    }
    if (password === undefined || !this.#mayUsePassword()) return false;
    const type = (['password', 'keyboard-interactive'] as const).find(
      (method) => this.#allowed.includes(method) && !this.#offered.includes(method),
    );
    if (type === undefined) return false;
    this.#offered.push(type);
    if (type === 'password') return { type, username, password };
    // Asked by PAM for one answer that must not be seen: the password. Anything else we do not know.
    const answer = (
      _name: string,
      _text: string,
      _language: string,
      prompts: Prompt[],
      finish: (a: string[]) => void,
    ) => finish(prompts.map(({ echo }) => (echo === true ? '' : password)));
    return { type, username, prompt: answer };
  }

  /** What the server did not take; undefined when it refused nothing yet. */
  failure(banner: string): AttemptFailure | undefined {
    if (!this.#refused) return undefined;
    const offered = this.#offered.map((method) => (method === 'publickey' ? "publickey (this build's)" : method));
    return new AttemptFailure(
      'login-refused',
      `banner ${printable(banner)} but authentication failed: ${offered.join(', ')} offered, server allows ${
        this.#allowed.map((method) => printable(method).slice(1, -1)).join(', ') || 'nothing'
      }`,
    );
  }
}

function brokenOff(banner: string, { outcome }: AttemptFailure): AttemptFailure {
  const when =
    outcome === 'key-exchange' ? 'key exchange failed: the connection was closed' : 'it broke off at the login';
  return new AttemptFailure(outcome, `banner ${printable(banner)} but ${when}`);
}

function failureOf(error: Error, banner: string, { outcome }: AttemptFailure): AttemptFailure {
  const when = outcome === 'key-exchange' ? 'key exchange failed' : 'it broke off at the login';
  return new AttemptFailure(
    outcome,
    `banner ${printable(banner)} but ${when}: ${printable(error.message, 120).slice(1, -1)}`,
    error,
  );
}
