import type { PluginContext, RunningCommand } from '@polyvisor/core';
import { QmpClient, type QmpEvent } from './qmp.js';

/** How QEMU ended. */
export interface QemuExit {
  /** Why it ended by itself or was told to, as QMP's event has it: `guest-shutdown`, `guest-reset`, `host-signal`, …; absent: it did not say. */
  readonly shutdown: string | undefined;
  /** `exit code 1`, or the name of the signal that killed it. */
  readonly status: string;
  /** What it said last on its standard error; may be empty. */
  readonly words: string;
}

/** Why QEMU does not go on with the guest, although it still runs itself. */
export interface QemuHalt {
  readonly status: 'internal-error' | 'io-error' | 'guest-panicked';
  readonly words: string;
}

export interface QemuLaunch {
  readonly program: string;
  readonly args: readonly string[];
  /** Where it runs, and where it puts what is temporary. */
  readonly workDir: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Kills it when it fires; absent: only `stop` and the end of the run do. */
  readonly signal?: AbortSignal;
}

/** Output of QEMU itself that is kept, in characters. */
const WORDS_KEPT = 4096;

/** How long output that QEMU left behind may take to arrive, in milliseconds. */
const DRAIN_LIMIT = 500;

/** The monitor is on the pipes of the program, so no socket has to be found, named or removed. The guest waits for `cont`. */
const MONITOR = ['-S', '-chardev', 'stdio,id=monitor,signal=off', '-mon', 'chardev=monitor,mode=control'] as const;

/** Ids that `QemuProcess` uses. */
export const MONITOR_ID = 'monitor';

/**
 * A QEMU that runs, and what it tells about itself.
 * process = launch, ready, cont, { monitor | restarts }, ( halted | exited | stop ).
 */
export class QemuProcess implements AsyncDisposable {
  readonly monitor: QmpClient;
  readonly exited: Promise<QemuExit>;
  /** Settles only if the guest is halted. */
  readonly halted: Promise<QemuHalt>;
  /** Called when the guest has restarted; `restarts` says how often. */
  onRestart: () => void = () => undefined;
  readonly #command: RunningCommand;
  #halt: (reason: QemuHalt) => void = () => undefined;
  #restarts = 0;
  #words = '';
  #shutdown: string | undefined;
  #ioError: string | undefined;
  #ended = false;

  private constructor(command: RunningCommand) {
    this.#command = command;
    this.halted = new Promise((resolve) => (this.#halt = resolve));
    command.stderr.on('data', (bytes: Buffer) => this.#remember(bytes.toString()));
    const silent = new Promise((resolve) => command.stderr.once('close', resolve));
    this.monitor = new QmpClient(command.stdout, command.stdin, {
      onEvent: (event) => this.#onEvent(event),
      onNoise: (line) => this.#remember(`${line}\n`),
    });
    this.exited = command.exited.then(async ({ exitCode, signal }) => {
      const drained = Promise.all([silent, this.monitor.closed]);
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, DRAIN_LIMIT).unref())]);
      this.#ended = true;
      const status = signal === null ? `exit code ${exitCode}` : signal;
      return { shutdown: this.#shutdown, status, words: this.words };
    });
  }

  /** Starts QEMU with the guest stopped, so that nothing it does can be missed. */
  static launch(context: PluginContext, { program, args, workDir, env, signal }: QemuLaunch): QemuProcess {
    const command = context.start(program, [...MONITOR, ...args], {
      cwd: workDir,
      env: { TMPDIR: workDir, ...env },
      ...(signal === undefined ? {} : { signal }),
    });
    return new QemuProcess(command);
  }

  /** Resolves with true when QEMU has made the machine, with false when it ended instead. */
  async ready(): Promise<boolean> {
    const negotiated = this.monitor.execute('qmp_capabilities').then(
      () => true,
      () => this.exited.then(() => false),
    );
    return Promise.race([negotiated, this.exited.then(() => false)]);
  }

  get pid(): number {
    return this.#command.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What QEMU said last on its standard error. */
  get words(): string {
    return this.#words.trim();
  }

  /** Ends it at once: nothing that the guest could still write is of use. */
  async stop(): Promise<void> {
    await this.#command.stop(0);
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #remember(text: string): void {
    this.#words = (this.#words + text).slice(-WORDS_KEPT);
  }

  #onEvent({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') this.#shutdown = String(data['reason']);
    if (event === 'BLOCK_IO_ERROR') {
      const place = String(data['node-name'] ?? data['device'] ?? 'disk');
      this.#ioError = `${String(data['operation'])} on ${place}: ${String(data['reason'] ?? 'failed')}`;
    }
    if (event === 'STOP') void this.#askWhyStopped();
    if (event === 'RESET' && data['guest'] === true) {
      this.#restarts++;
      this.onRestart();
    }
  }

  /** A guest is also stopped on its way to being switched off, which is told by other means. */
  async #askWhyStopped(): Promise<void> {
    const answer = await this.monitor.execute('query-status').catch(() => undefined);
    const status = (answer as { readonly status?: unknown } | undefined)?.status;
    if (status === 'io-error') this.#halt({ status, words: [this.#ioError, this.words].filter(Boolean).join('; ') });
    if (status === 'guest-panicked') this.#halt({ status, words: 'the kernel of the guest panicked' });
    if (status === 'internal-error') this.#halt({ status, words: this.words });
  }
}
