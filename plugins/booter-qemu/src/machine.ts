import { createWriteStream } from 'node:fs';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { PluginContext, RunningCommand } from '@polyvisor/core';
import { ConsoleText } from '@polyvisor/machine';
import { ppmToPng, QEMU, QmpClient, type QmpEvent } from '@polyvisor/qemu';
import { findDeadEnd } from './dead-ends.js';

/** How a boot ended. */
export type Outcome =
  | { readonly kind: 'matched'; readonly line: string }
  | { readonly kind: 'stuck'; readonly reason: string }
  | { readonly kind: 'restarting' }
  /** QEMU gave up on the guest without ending: `internal-error` or `io-error`. */
  | { readonly kind: 'halted'; readonly status: string; readonly words: string }
  | { readonly kind: 'ended'; readonly reason: string }
  | { readonly kind: 'died'; readonly words: string; readonly status: string }
  | { readonly kind: 'timeout' };

/** Restarts that are no loop: firmware and boot loaders restart once to make their settings take effect. */
export const RESTARTS_ALLOWED = 3;

/** Output of QEMU itself that is kept, in characters. */
const WORDS_KEPT = 4096;

/** Time for a monitor command, in milliseconds. A guest that hangs does not stop the monitor. */
const MONITOR_LIMIT = 5000;

export interface MachineFiles {
  readonly workDir: string;
  /** Name within `workDir`. */
  readonly qmpSocket: string;
  readonly consoleLog: string;
}

/** A QEMU that runs, with its console and its monitor. Disposing ends it. */
export class Machine implements AsyncDisposable {
  readonly console = new ConsoleText();
  readonly #command: RunningCommand;
  readonly #files: MachineFiles;
  readonly #closed = new AbortController();
  readonly #logged: Promise<void>;
  readonly #qmp: Promise<QmpClient | undefined>;
  #words = '';
  #restarts = 0;
  #shutdownReason: string | undefined;
  #haltedBy: string | undefined;
  #changed: () => void = () => {};

  private constructor(command: RunningCommand, files: MachineFiles, directory: string) {
    this.#command = command;
    this.#files = files;
    const log = createWriteStream(files.consoleLog);
    this.#logged = finished(log).catch(() => {});
    command.stdin.on('error', () => {});
    command.stdout.on('data', (bytes: Buffer) => {
      log.write(bytes);
      if (this.console.push(bytes)) this.#changed();
    });
    command.stdout.on('close', () => log.end());
    command.stdout.on('error', () => log.end());
    command.stderr.on('data', (bytes: Buffer) => {
      this.#words = (this.#words + bytes.toString()).slice(-WORDS_KEPT);
    });
    this.#qmp = QmpClient.connect(
      join(directory, files.qmpSocket),
      (event) => this.#onEvent(event),
      this.#closed.signal,
    ).catch(() => undefined);
    void command.exited.then(() => this.#closed.abort());
  }

  static async start(
    context: PluginContext,
    args: readonly string[],
    files: MachineFiles,
    signal: AbortSignal,
  ): Promise<Machine> {
    // The socket is reached through the open directory, since a socket's address holds 107 bytes only.
    const directory = await open(files.workDir, 'r');
    try {
      const command = context.start(QEMU, args, { cwd: files.workDir, env: { TMPDIR: files.workDir }, signal });
      const machine = new Machine(command, files, `/proc/self/fd/${directory.fd}`);
      await Promise.race([machine.#qmp, command.exited]);
      return machine;
    } finally {
      await directory.close();
    }
  }

  /** Waits until the console shows `expect`, or until it is certain that it never will. `timeout` is in milliseconds. */
  async outcome(expect: RegExp, timeout: number, signal: AbortSignal): Promise<Outcome> {
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    const watched = new Promise<Outcome>((resolve, reject) => {
      onAbort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#changed = () => {
        const outcome = this.#look(expect);
        if (outcome !== undefined) resolve(outcome);
      };
      timer = setTimeout(() => resolve({ kind: 'timeout' }), timeout);
      void this.#command.exited.then(async ({ exitCode, signal: killed }) => {
        await this.#lastBytes();
        resolve(this.#look(expect) ?? this.#ended(killed === null ? `exit code ${exitCode}` : killed));
      });
      if (signal.aborted) onAbort();
      this.#changed();
    });
    try {
      return await watched;
    } finally {
      clearTimeout(timer);
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
      this.#changed = () => {};
    }
  }

  /** Writes the screen's contents as PNG. Returns false when the machine cannot tell any more. */
  async screenshot(path: string): Promise<boolean> {
    const dump = join(this.#files.workDir, 'screen.ppm');
    const take = async (): Promise<boolean> => {
      const qmp = await this.#qmp;
      if (qmp === undefined) return false;
      await qmp.execute('screendump', { filename: dump });
      await writeFile(path, ppmToPng(await readFile(dump)));
      return true;
    };
    const limit = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), MONITOR_LIMIT).unref());
    try {
      return await Promise.race([take(), limit]);
    } catch {
      return false;
    } finally {
      await rm(dump, { force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    // Nothing that the guest could still write is of use, so there is no reason to be gentle.
    await this.#command.stop(0);
    (await this.#qmp)?.[Symbol.dispose]();
    await this.#lastBytes();
  }

  /** What QEMU wrote before it ended may still be on its way. */
  async #lastBytes(): Promise<void> {
    const drained = Promise.all([this.#logged, this.#qmp.then((qmp) => qmp?.closed)]);
    await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 500))]);
  }

  #look(expect: RegExp): Outcome | undefined {
    const line = this.console.lineMatching(expect);
    if (line !== undefined) return { kind: 'matched', line };
    const reason = findDeadEnd(this.console);
    if (reason !== undefined) return { kind: 'stuck', reason };
    if (this.#haltedBy !== undefined) return { kind: 'halted', status: this.#haltedBy, words: this.#words.trim() };
    return this.#restarts > RESTARTS_ALLOWED ? { kind: 'restarting' } : undefined;
  }

  #ended(status: string): Outcome {
    if (this.#shutdownReason === undefined || this.#shutdownReason.startsWith('host-')) {
      return { kind: 'died', words: this.#words.trim(), status };
    }
    return { kind: 'ended', reason: this.#shutdownReason };
  }

  #onEvent({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') this.#shutdownReason = String(data['reason']);
    if (event === 'STOP') void this.#askWhyHalted();
    if (event === 'RESET' && data['guest'] === true) {
      this.#restarts++;
      this.#changed();
    }
  }

  /** A guest is also stopped on its way to being switched off, which is told by other means. */
  async #askWhyHalted(): Promise<void> {
    const answer = await this.#qmp.then((qmp) => qmp?.execute('query-status')).catch(() => undefined);
    const status = (answer as { readonly status?: unknown } | undefined)?.status;
    if (status !== 'internal-error' && status !== 'io-error') return;
    this.#haltedBy = status;
    this.#changed();
  }
}
