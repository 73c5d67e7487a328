import {
  type Emit,
  errorKind,
  type Machine,
  type MachineSpec,
  type PolyvisorError,
  type Start,
  type StopReason,
} from '@polyvisor/core';
import { LastScreen } from './last-screen.js';
import { SerialConsole } from './serial-console.js';
import { stopError } from './stop-errors.js';
import { firstOf, type TimeLimit } from './time-limit.js';

/** How often the console is read, and how often the screen is looked at, in milliseconds. */
const CONSOLE_INTERVAL = 200;
const SCREEN_INTERVAL = 10_000;
/** Until a machine that stopped is known to have; see `Machine.stopped`. In milliseconds. */
const NOTICED = 1500;

/** Errors that a machine's end causes elsewhere before it is noticed itself. */
const CONSEQUENCES = new Set(['machine-stopped', 'ssh-connection-lost', 'guest-command-failed', 'command-failed']);

export interface AttendedOptions {
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** A machine under the eyes of the flow: nothing is waited for longer than the machine runs. Disposing it removes the machine. */
export class Attended implements AsyncDisposable {
  readonly machine: Machine;
  readonly spec: MachineSpec;
  readonly console: SerialConsole;
  readonly screen = new LastScreen();
  /** What is waited for, as it follows "while". */
  waiting = 'starting the machine';
  readonly #options: AttendedOptions;
  readonly #end = new AbortController();
  #watching: Promise<unknown> | undefined;

  constructor(machine: Machine, spec: MachineSpec, options: AttendedOptions) {
    this.machine = machine;
    this.spec = spec;
    this.console = new SerialConsole(spec.serialLog);
    this.#options = options;
  }

  /** Starts the machine, and looks at its console and its screen from then on. */
  async start(from: Start): Promise<void> {
    await this.machine.start(from, this.#options.signal);
    this.#watching ??= Promise.allSettled([
      every(CONSOLE_INTERVAL, this.#end.signal, () => this.console.poll()),
      every(SCREEN_INTERVAL, this.#end.signal, () => this.screen.look(this.machine, this.#end.signal)),
    ]);
  }

  /**
   * Works until the work is done, its time is over, the machine stops or the run is cancelled, whatever comes first. A failure
   * that comes from the machine's end is told as such.
   */
  async during<T>(waiting: string, work: (signal: AbortSignal) => Promise<T>, limit?: TimeLimit): Promise<T> {
    const { signal } = this.#options;
    this.waiting = waiting;
    try {
      return await firstOf(limit, signal, [
        work,
        async (scope) => {
          throw stopError(await this.machine.stopped(scope), waiting);
        },
      ]);
    } catch (error) {
      signal.throwIfAborted();
      throw await this.#explained(error, waiting);
    }
  }

  /**
   * Works until the machine stops as `expected`, which turns the reason into the result, or until the alternative has succeeded.
   * Another reason is a failure, as in `during`.
   */
  async untilStopped<T>(
    waiting: string,
    expected: (reason: StopReason) => T | undefined,
    limit: TimeLimit,
    alternative?: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.waiting = waiting;
    return firstOf(limit, this.#options.signal, [
      async (scope) => {
        const reason = await this.machine.stopped(scope);
        const result = expected(reason);
        if (result === undefined) throw stopError(reason, waiting);
        return result;
      },
      ...(alternative === undefined ? [] : [alternative]),
    ]);
  }

  /** Why it does not run, or undefined while it does. */
  async stopReason(patience = 0): Promise<StopReason | undefined> {
    try {
      return await this.machine.stopped(AbortSignal.any([this.#options.signal, AbortSignal.timeout(patience + 1)]));
    } catch {
      return undefined;
    }
  }

  say(stage: string, message: string): void {
    const last = this.console.lastLine;
    const shown = last === '' ? '' : `; the console says: ${last.slice(0, 120)}`;
    this.#options.emit({ type: 'waiting', stage, message: `${message}${shown}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#watching;
    await this.machine[Symbol.asyncDispose]();
  }

  async #explained(error: unknown, waiting: string): Promise<unknown> {
    const kind = errorKind(error);
    if (kind !== undefined && !CONSEQUENCES.has((error as PolyvisorError).code)) return error;
    const reason = await this.stopReason(NOTICED);
    return reason === undefined ? error : stopError(reason, waiting, error);
  }
}

async function every(interval: number, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) {
    await work().catch(() => undefined);
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, interval);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
