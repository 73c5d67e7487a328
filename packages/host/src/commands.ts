import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  EnvironmentError,
  type Logger,
  type RunningCommand,
  type RunOptions,
  type RunResult,
  type StartOptions,
} from '@polyvisor/core';
import { execa, type ResultPromise } from 'execa';
import { inject, injectable } from './injection.js';
import { lineSplitter, tailOf } from './lines.js';
import { endGroup, signalGroup } from './process-group.js';
import { ENVIRONMENT } from './tokens.js';
import { Watchdog } from './watchdog.js';

/** Variables of ours that a command gets; everything else would make its output depend on who runs it. */
const PASSED_ON = ['PATH', 'HOME', 'TMPDIR', 'http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];

/** Output kept of each stream, in bytes. */
const KEPT = 1024 * 1024;

/** Time between SIGTERM and SIGKILL, in milliseconds. */
const GRACE = 2000;

/** How long output may still come after a command and its group have ended, in milliseconds. */
const AFTERWARDS = 1000;

/**
 * Runs other programs, each in a process group of its own, and lets none outlive the run: a group is killed when its
 * command ends, when its signal fires, when this object is disposed, and when our own process dies, however it dies.
 */
@injectable()
export class Commands implements AsyncDisposable {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #running = new Set<RunningCommand>();
  readonly #watchdog = new Watchdog();

  constructor(@inject(ENVIRONMENT) environment: NodeJS.ProcessEnv) {
    this.#environment = allowed(environment);
  }

  start(log: Logger, command: string, args: readonly string[], options: StartOptions = {}): RunningCommand {
    options.signal?.throwIfAborted();
    const environment = { ...this.#environment, ...options.env };
    const program = findProgram(command, environment['PATH'] ?? '', options.cwd);
    log.debug(`$ ${[command, ...args].map(quoted).join(' ')}`);
    this.#watchdog.start();
    const child = spawnGroup(command, program, args, environment, options.cwd);
    const { pid } = child;
    this.#watchdog.add(pid);
    const running: RunningCommand = {
      pid,
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      exited: new Promise((settle) => {
        child.once('exit', (exitCode, signal) => {
          signalGroup(pid, 'SIGKILL'); // what it left running in the background
          this.#running.delete(running);
          this.#watchdog.remove(pid);
          options.signal?.removeEventListener('abort', stop);
          settle({ exitCode, signal });
        });
      }),
      stop: async (grace = GRACE) => {
        if (this.#running.has(running)) await endGroup(pid, grace);
        await running.exited;
      },
    };
    const stop = () => void running.stop();
    this.#running.add(running);
    options.signal?.addEventListener('abort', stop, { once: true });
    return running;
  }

  async run(log: Logger, command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const { signal, input, timeout, onLine, acceptExitCodes = [0] } = options;
    const started = performance.now();
    const running = this.start(log, command, args, options);
    const kept = { stdout: tailOf(KEPT), stderr: tailOf(KEPT) };
    const read = (name: 'stdout' | 'stderr') => {
      const lines = lineSplitter((line) => {
        log.debug(line);
        onLine?.(line, name);
      });
      running[name].on('data', (bytes: Uint8Array) => {
        kept[name].push(bytes);
        lines.push(bytes);
      });
      return new Promise<void>((settle) => running[name].once('close', settle)).then(() => lines.end());
    };
    const closed = Promise.all([read('stdout'), read('stderr')]);
    running.stdin.end(input);

    let timedOut = false;
    const timer =
      timeout === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            void running.stop();
          }, timeout);
    const exit = await running.exited;
    clearTimeout(timer);
    // Whoever left the group and still holds the pipes (a daemon) is not waited for.
    await Promise.race([closed, sleep(AFTERWARDS, undefined, { ref: false })]);
    running.stdout.destroy();
    running.stderr.destroy();

    signal?.throwIfAborted();
    const result = { exitCode: exit.exitCode ?? -1, stdout: kept.stdout.text(), stderr: kept.stderr.text() };
    const ending = exit.signal === null ? `exit code ${exit.exitCode}` : exit.signal;
    log.debug(`${command} ended with ${ending} after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    if (timedOut) {
      throw new EnvironmentError(
        'command-timeout',
        `${command} did not end within ${(timeout ?? 0) / 1000} s and was killed${lastWords(result)}`,
        { hint: 'run again with --verbose to see what it was doing' },
      );
    }
    if (exit.signal !== null || !acceptExitCodes.includes(result.exitCode)) {
      throw new EnvironmentError('command-failed', `${command} ended with ${ending}${lastWords(result)}`, {
        hint:
          exit.signal === 'SIGKILL'
            ? 'was it out of memory? see the kernel log (`dmesg`)'
            : 'run again with --verbose to see all that it says',
      });
    }
    return result;
  }

  /** Stops everything that still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running].map((running) => running.stop()));
    this.#watchdog.end();
  }
}

function allowed(environment: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const name of PASSED_ON.flatMap((name) => [name, name.toUpperCase()])) {
    const value = environment[name];
    if (value !== undefined) passed[name] = value;
  }
  return { ...passed, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8' };
}

/** Looked up by us, not by the system: "no such file" could also mean the working directory or an interpreter. */
function findProgram(command: string, path: string, cwd = process.cwd()): string {
  const places = command.includes('/')
    ? [resolve(cwd, command)]
    : path.split(delimiter).map((folder) => join(folder, command));
  const found = places.find(isProgram);
  if (found !== undefined) return found;
  throw new EnvironmentError(
    'command-missing',
    `the program ${command} is not ${command.includes('/') ? 'there' : 'on PATH'}`,
    {
      hint: `install ${command}; \`polyvisor doctor\` lists what is missing and how to get it`,
    },
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Our own bookkeeping of groups, output and cancellation takes the place of execa's, which knows single processes. */
const EXECA = {
  extendEnv: false,
  detached: true,
  cleanup: false,
  reject: false,
  buffer: false,
  stdin: 'pipe',
  stdout: 'pipe',
  stderr: 'pipe',
} as const;

type Child = ResultPromise<typeof EXECA> & { readonly pid: number };

function spawnGroup(
  command: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd: string | undefined,
): Child {
  const child = execa(program, args, { ...EXECA, argv0: command, env, ...(cwd === undefined ? {} : { cwd }) });
  child.stdin.on('error', () => undefined); // a command may end without reading its input
  if (child.pid !== undefined) return child as Child;
  throw new EnvironmentError('command-failed', `cannot start ${program}${cwd === undefined ? '' : ` in ${cwd}`}`, {
    hint: 'check its rights, its working directory and the limits of this machine (`ulimit -a`)',
  });
}

/** The last lines of what a command said, on stderr if it said anything there. */
function lastWords({ stdout, stderr }: RunResult): string {
  const words = (stderr.trim() === '' ? stdout : stderr).trim().split('\n').slice(-5).join('\n').slice(-2000);
  return words === '' ? '' : `:\n${words}`;
}

/** As a shell would take it, so that a line of the log can be tried by hand. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
