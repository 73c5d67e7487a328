import { writeFile } from 'node:fs/promises';
import type { PluginContext } from '@polyvisor/core';
import { type ConsoleText, SerialConsole } from '@polyvisor/machine';
import { QEMU, type QemuExit, type QemuHalt, QemuProcess, takeScreenshot } from '@polyvisor/qemu';
import { findDeadEnd } from './dead-ends.js';

/** How a boot ended. */
export type Outcome =
  | { readonly kind: 'matched'; readonly line: string }
  | { readonly kind: 'stuck'; readonly reason: string }
  | { readonly kind: 'restarting' }
  /** QEMU gave up on the guest without ending. */
  | { readonly kind: 'halted'; readonly status: QemuHalt['status']; readonly words: string }
  | { readonly kind: 'ended'; readonly reason: string }
  | { readonly kind: 'died'; readonly words: string; readonly status: string }
  | { readonly kind: 'timeout' };

/** Restarts that are no loop: firmware and boot loaders restart once to make their settings take effect. */
export const RESTARTS_ALLOWED = 3;

/** How often the console is read, in milliseconds. */
const POLL_INTERVAL = 50;

/** Time for a monitor command, in milliseconds. A guest that hangs does not stop the monitor. */
const MONITOR_LIMIT = 5000;

export interface MachineFiles {
  readonly workDir: string;
  readonly consoleLog: string;
}

/** A QEMU that runs, with its console and its monitor. Disposing ends it. */
export class Machine implements AsyncDisposable {
  readonly #qemu: QemuProcess;
  readonly #files: MachineFiles;
  readonly #console: SerialConsole;
  #halt: QemuHalt | undefined;

  private constructor(qemu: QemuProcess, files: MachineFiles) {
    this.#qemu = qemu;
    this.#files = files;
    this.#console = new SerialConsole(files.consoleLog);
    void qemu.halted.then((halt) => (this.#halt = halt));
  }

  static async start(
    context: PluginContext,
    args: readonly string[],
    files: MachineFiles,
    signal: AbortSignal,
  ): Promise<Machine> {
    // What another boot left there is not this guest's.
    await writeFile(files.consoleLog, '');
    const qemu = QemuProcess.launch(context, { program: QEMU, args, workDir: files.workDir, signal });
    const machine = new Machine(qemu, files);
    // One that ended instead is told by `outcome`.
    if (await qemu.ready()) await qemu.monitor.execute('cont').catch(() => undefined);
    return machine;
  }

  get console(): ConsoleText {
    return this.#console.text;
  }

  /** Waits until the console shows `expect`, or until it is certain that it never will. `timeout` is in milliseconds. */
  async outcome(expect: RegExp, timeout: number, signal: AbortSignal): Promise<Outcome> {
    let exit: QemuExit | undefined;
    let late = false;
    let wake = (): void => undefined;
    const news = () => wake();
    void this.#qemu.exited.then((how) => ((exit = how), news()));
    void this.#qemu.halted.then(news);
    this.#qemu.onRestart = news;
    const limit = setTimeout(() => ((late = true), news()), timeout);
    signal.addEventListener('abort', news, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const seen = { exit, late };
        await this.#console.poll();
        const outcome = this.#look(expect) ?? (seen.exit === undefined ? undefined : ended(seen.exit));
        if (outcome !== undefined) return outcome;
        if (seen.late) return { kind: 'timeout' };
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, POLL_INTERVAL);
          wake = () => (clearTimeout(timer), resolve());
          if (exit !== seen.exit || late !== seen.late || signal.aborted) wake();
        });
      }
    } finally {
      clearTimeout(limit);
      signal.removeEventListener('abort', news);
      this.#qemu.onRestart = () => undefined;
    }
  }

  /** Writes the screen's contents as PNG. Returns false when the machine cannot tell any more. */
  async screenshot(path: string): Promise<boolean> {
    const take = async (): Promise<boolean> => {
      await writeFile(path, await takeScreenshot(this.#qemu.monitor, this.#files.workDir));
      return true;
    };
    const limit = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), MONITOR_LIMIT).unref());
    return Promise.race([take().catch(() => false), limit]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qemu.stop();
  }

  #look(expect: RegExp): Outcome | undefined {
    const line = this.console.lineMatching(expect);
    if (line !== undefined) return { kind: 'matched', line };
    const reason = findDeadEnd(this.console);
    if (reason !== undefined) return { kind: 'stuck', reason };
    if (this.#halt !== undefined) return { kind: 'halted', ...this.#halt };
    return this.#qemu.restarts > RESTARTS_ALLOWED ? { kind: 'restarting' } : undefined;
  }
}

function ended({ shutdown, status, words }: QemuExit): Outcome {
  if (shutdown === undefined || shutdown.startsWith('host-')) return { kind: 'died', words, status };
  return { kind: 'ended', reason: shutdown };
}
