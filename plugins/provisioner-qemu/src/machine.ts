import { rm } from 'node:fs/promises';
import {
  EnvironmentError,
  errorKind,
  type Key,
  type Machine,
  type MachineSpec,
  type PluginContext,
  type Start,
  type StopReason,
} from '@polyvisor/core';
import { abortable, QemuProcess, takeScreenshot } from '@polyvisor/qemu';
import { type Pace, pressKeys } from './keyboard.js';
import { parseForwards } from './network.js';
import { reasonOfExit, reasonOfHalt, startError } from './stop-reason.js';

/** What a machine is made of. */
export interface MachineParts {
  readonly context: PluginContext;
  readonly spec: MachineSpec;
  readonly program: string;
  readonly workDir: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The command line for one start. */
  readonly commandLine: (start: Start) => readonly string[];
  readonly pace: Pace;
  /** Removed with the machine. */
  readonly files: readonly string[];
}

/** How long QEMU may take to end when it is asked to, in milliseconds; then it is killed. */
const QUIT_LIMIT = 3000;

/** One start of the machine. */
interface Run {
  readonly qemu: QemuProcess;
  readonly stopped: Promise<StopReason>;
  readonly ports: ReadonlyMap<number, number>;
  /** The end was asked for. */
  asked: boolean;
  /** Set once the machine does not run any more. QEMU itself may still be there, with the last screen. */
  reason: StopReason | undefined;
}

/** A machine in QEMU: one process for each of its starts. */
export class QemuMachine implements Machine {
  readonly #parts: MachineParts;
  #run: Run | undefined;
  #starting = false;
  #removed = false;
  #typing: Promise<void> = Promise.resolve();

  constructor(parts: MachineParts) {
    this.#parts = parts;
  }

  async start(start: Start, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { context, spec, program, workDir, environment, commandLine } = this.#parts;
    if (this.#removed || this.#starting || (this.#run !== undefined && this.#run.reason === undefined))
      throw new Error(`${spec.name} cannot be started: it ${this.#removed ? 'was removed' : 'runs already'}`);
    this.#starting = true;
    try {
      await this.#run?.qemu.stop(); // one that was halted
      signal.throwIfAborted();
      const qemu = QemuProcess.launch(context, { program, args: commandLine(start), workDir, env: environment });
      try {
        if (!(await abortable(qemu.ready(), signal))) throw startError(spec.name, spec.disk, await qemu.exited);
        const ports = parseForwards(await abortable(qemu.monitor.executeHuman('info usernet'), signal));
        const run = follow(qemu, ports);
        await abortable(qemu.monitor.execute('cont'), signal);
        this.#run = run;
      } catch (error) {
        await qemu.stop();
        throw error;
      }
    } finally {
      this.#starting = false;
    }
  }

  async press(keys: readonly Key[], signal: AbortSignal, interval?: number): Promise<void> {
    const { pace } = this.#parts;
    const { qemu } = this.#running(signal, 'typed at');
    // Whoever types next waits for the one before, so that keys never mix.
    const before = this.#typing;
    const typing = before.then(() =>
      pressKeys(qemu.monitor, keys, interval === undefined ? pace : { ...pace, interval }, signal),
    );
    this.#typing = typing.catch(() => undefined);
    await abortable(typing, signal).catch(async (error: unknown) => {
      if (signal.aborted || errorKind(error) !== undefined || qemu.monitor.open) throw error;
      await qemu.exited; // nothing else ends the connection
      throw this.#notRunning('typed at');
    });
  }

  async endpoint(guestPort: number): Promise<{ readonly host: string; readonly port: number }> {
    const port = this.#running(new AbortController().signal, 'reached').ports.get(guestPort);
    if (port === undefined)
      throw new Error(`port ${guestPort} of ${this.#parts.spec.name} is not among its forwarded ports`);
    return { host: '127.0.0.1', port };
  }

  async stopped(signal: AbortSignal): Promise<StopReason> {
    signal.throwIfAborted();
    if (this.#run === undefined) return { kind: 'ended', words: '' };
    return this.#run.reason ?? abortable(this.#run.stopped, signal);
  }

  async powerOff(mode: 'button' | 'hard', signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (mode === 'hard') return abortable(this.#end(), signal);
    await abortable(this.#running(signal, 'switched off').qemu.monitor.execute('system_powerdown'), signal);
  }

  /** Also of a machine that was halted: its screen often says why. */
  async screenshot(signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    if (this.#run === undefined || this.#run.qemu.ended) throw this.#notRunning('looked at');
    return abortable(takeScreenshot(this.#run.qemu.monitor, this.#parts.workDir), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#removed = true;
    await this.#end();
    for (const file of this.#parts.files) await rm(file, { force: true });
  }

  #running(signal: AbortSignal, what: string): Run {
    signal.throwIfAborted();
    if (this.#run === undefined || this.#run.reason !== undefined) throw this.#notRunning(what);
    return this.#run;
  }

  #notRunning(what: string): EnvironmentError {
    const words = this.#run?.reason?.words ?? '';
    const why = words === '' ? '' : ` (${words})`;
    return new EnvironmentError(
      'qemu-not-running',
      `${this.#parts.spec.name} cannot be ${what}: it does not run${why}`,
    );
  }

  /** Lets QEMU end in order, or else kills it. */
  async #end(): Promise<void> {
    const run = this.#run;
    if (run === undefined || run.qemu.ended) return;
    run.asked = true;
    const ended = run.qemu.exited.then(() => true);
    const asked = run.qemu.monitor.execute('quit').then(
      () => ended,
      () => ended,
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), QUIT_LIMIT)));
    if (!(await Promise.race([asked, late]))) await run.qemu.stop();
    clearTimeout(timer);
    await run.stopped;
  }
}

function follow(qemu: QemuProcess, ports: ReadonlyMap<number, number>): Run {
  const ended = qemu.exited.then((exit) => reasonOfExit(exit, run.asked));
  const stopped = Promise.race([ended, qemu.halted.then(reasonOfHalt)]).then((reason) => (run.reason = reason));
  const run: Run = { qemu, ports, stopped, asked: false, reason: undefined };
  return run;
}
