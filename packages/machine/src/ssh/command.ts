import { once } from 'node:events';
import { GuestError } from '@polyvisor/core';
import type { ClientChannel } from 'ssh2';
import { type Become, endMark, Greeting } from './become.js';
import type { ExecOptions, OutputStream } from './guest.js';
import { Lines } from './lines.js';
import { exportLines, shellWords } from './quote.js';
import { Tail } from './tail.js';

/** Of each stream, in bytes. */
const KEPT = 1024 * 1024;

/**
 * How long more output is waited for when the command has ended, in milliseconds: something that it left running may hold the
 * stream open for ever.
 */
const DRAIN = 2000;

/** What scripts can count on, wherever they run. */
const ENVIRONMENT = `PATH=\${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
export LC_ALL=C.UTF-8
`;

/** How a command ended. */
export interface Ended {
  /** Undefined when the connection broke, or the guest did not say. */
  readonly exitCode: number | undefined;
}

/** One command on its channel: greeted, fed, listened to. It ends itself in no way: see `KILL_ALL`. */
export class Command {
  readonly #channel: ClientChannel;
  readonly #greeting: Greeting;
  readonly #become: Become;
  readonly #password: string | undefined;
  readonly #script: string;
  readonly #options: ExecOptions;
  readonly #lines: Readonly<Record<OutputStream, Lines>>;
  readonly stdout = new Tail(KEPT);
  readonly stderr = new Tail(KEPT);
  /** Both streams, as they came, for messages. */
  readonly transcript = new Tail(16 * 1024);
  /** Settles when it has ended, in one way or another, and its output is there. Rejects when it cannot become root. */
  readonly ended: Promise<Ended>;
  #ready = false;
  #prompted = false;
  #exitCode: number | undefined;
  #settle: { resolve: (ended: Ended) => void; reject: (error: Error) => void } | undefined;
  #drain: NodeJS.Timeout | undefined;

  constructor(
    channel: ClientChannel,
    { become, mark, password }: { become: Become; mark: string; password: string | undefined },
    script: string,
    options: ExecOptions,
  ) {
    this.#channel = channel;
    this.#greeting = new Greeting(become, mark);
    this.#become = become;
    this.#password = password;
    this.#options = options;
    this.#script = `${programText(script, options)}\n${endMark(mark)}\n`;
    const lines = (stream: OutputStream) => new Lines((line) => options.onLine?.(line, stream));
    this.#lines = { stdout: lines('stdout'), stderr: lines('stderr') };
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    channel.on('data', (bytes: Buffer) => this.#take(bytes, 'stdout'));
    channel.stderr.on('data', (bytes: Buffer) => this.#take(bytes, 'stderr'));
    channel.on('exit', (code: number | null, signal?: string) => {
      this.#exitCode = code ?? 128 + (SIGNALS[signal?.replace(/^SIG/, '') ?? ''] ?? 0);
      this.#awaitRest();
    });
    channel.on('error', () => undefined); // Its end follows.
    channel.on('close', () => this.#finish());
  }

  /** Gives up listening. The caller has its own reason. */
  abandon(): void {
    this.#finish();
    this.#channel.close();
    this.#channel.destroy();
  }

  #take(bytes: Buffer, stream: OutputStream): void {
    if (this.#ready) return this.#output(bytes, stream);
    const { wants, rest } = this.#greeting.push(bytes, stream);
    if (wants === 'password') this.#answerPrompt();
    if (wants !== 'ready') return;
    this.#ready = true;
    this.#feed().catch((error: Error) => {
      // The guest sees an end of its input; that it came too early, whoever sends a file has it check.
      this.#channel.end();
      this.#reject(error);
    });
    if (rest.length > 0) this.#output(rest, stream);
  }

  #answerPrompt(): void {
    if (this.#password === undefined) {
      return this.#fail('it asks for a password', 'name one under `access`, or allow it without (NOPASSWD)');
    }
    if (this.#prompted) return this.#fail('the password is wrong', 'it is the one under `access`');
    this.#prompted = true;
    this.#channel.write(`${this.#password}\n`);
  }

  async #feed(): Promise<void> {
    this.#channel.write(this.#script);
    const { input } = this.#options;
    if (typeof input === 'string' || input instanceof Uint8Array) this.#channel.write(input);
    else if (input !== undefined) {
      for await (const bytes of input) {
        if (!this.#channel.writable || this.#settle === undefined) break;
        // Its window is the guest's: a command that reads slowly holds us back.
        if (!this.#channel.write(bytes)) await Promise.race([once(this.#channel, 'drain'), this.ended]);
      }
    }
    this.#channel.end();
  }

  #output(bytes: Buffer, stream: OutputStream): void {
    this[stream].push(bytes);
    this.transcript.push(bytes);
    this.#options.onBytes?.(bytes, stream);
    this.#lines[stream].push(bytes);
    if (this.#exitCode !== undefined) this.#awaitRest();
  }

  #awaitRest(): void {
    clearTimeout(this.#drain);
    this.#drain = setTimeout(() => this.#finish(), DRAIN);
  }

  #finish(): void {
    clearTimeout(this.#drain);
    const settle = this.#settle;
    if (settle === undefined) return;
    // 125 is also what `receive` ends with when the connection broke before it had the script.
    if (!this.#ready && this.#exitCode !== undefined) {
      return this.#fail(
        `it ended with exit code ${this.#exitCode}`,
        this.#become === 'none'
          ? 'does the guest have a POSIX shell, `sh`, and may its user run it?'
          : `may the user of \`access\` use ${this.#become}, and without a terminal (no "requiretty")?`,
      );
    }
    this.#settle = undefined;
    this.#lines.stdout.end();
    this.#lines.stderr.end();
    this.#channel.close();
    settle.resolve({ exitCode: this.#exitCode });
  }

  #reject(error: Error): void {
    clearTimeout(this.#drain);
    this.#settle?.reject(error);
    this.#settle = undefined;
  }

  #fail(why: string, hint: string): void {
    const how = this.#become === 'none' ? 'sh' : this.#become;
    this.#channel.close();
    this.#reject(
      new GuestError('guest-become-failed', `cannot run a command in the guest by ${how}: ${why}`, {
        hint,
        transcript: this.#greeting.words() || undefined,
      }),
    );
  }
}

/** The script with its environment, its arguments and, unless there is some, without input. */
function programText(script: string, { arguments: words = [], environment = {}, input }: ExecOptions): string {
  return [
    ENVIRONMENT,
    exportLines(environment),
    `set -- ${shellWords(words)}\n`,
    input === undefined ? 'exec </dev/null\n' : '',
    script,
  ].join('');
}

/** POSIX numbers, of the signals that RFC 4254 §6.10 names. */
const SIGNALS: Readonly<Record<string, number>> = {
  ABRT: 6,
  ALRM: 14,
  FPE: 8,
  HUP: 1,
  ILL: 4,
  INT: 2,
  KILL: 9,
  PIPE: 13,
  QUIT: 3,
  SEGV: 11,
  TERM: 15,
  USR1: 10,
  USR2: 12,
};
