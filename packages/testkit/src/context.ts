import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import {
  EnvironmentError,
  type PluginContext,
  type RunningCommand,
  type RunOptions,
  type RunResult,
  type StartOptions,
} from '@polyvisor/core';

/** A plugin context for tests: runs real commands, remembers them, and knows which are still running. */
export interface TestContext extends PluginContext {
  /** Every command run or started, in order: its name and arguments. */
  readonly commands: readonly (readonly string[])[];
  /** Lines logged, with their level. */
  readonly lines: readonly string[];
  /** Process numbers of commands that have not ended. */
  running(): readonly number[];
}

export interface TestContextOptions {
  /** Replaces PATH, so that only the tools of the test are found. */
  readonly path?: string;
  /** Called before each command; throwing makes the command fail with that error. */
  readonly beforeCommand?: (index: number, command: readonly string[]) => void;
}

/** Lines of a command's output that are kept for the result. */
const KEPT = 10_000;

export function createTestContext({ path, beforeCommand }: TestContextOptions = {}): TestContext {
  const commands: string[][] = [];
  const lines: string[] = [];
  const running = new Set<ChildProcess>();
  const log = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);

  const launch = (command: string, args: readonly string[], options: StartOptions): ChildProcess => {
    options.signal?.throwIfAborted();
    commands.push([command, ...args]);
    beforeCommand?.(commands.length - 1, [command, ...args]);
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: { PATH: path ?? process.env['PATH'], HOME: process.env['HOME'], LC_ALL: 'C.UTF-8', ...options.env },
      detached: true, // a group of its own, so that all of it can be killed
      stdio: 'pipe',
    });
    running.add(child);
    child.once('close', () => running.delete(child));
    child.once('error', () => running.delete(child));
    return child;
  };

  return {
    commands,
    lines,
    running: () => [...running].flatMap((child) => (child.pid === undefined ? [] : [child.pid])),
    log: { debug: log('debug'), info: log('info'), warn: log('warn') },
    run: (command, args, options = {}) => finish(launch(command, args, options), command, options),
    start: (command, args, options = {}) => live(launch(command, args, options), options),
  };
}

async function finish(child: ChildProcess, command: string, options: RunOptions): Promise<RunResult> {
  const kept = { stdout: [] as string[], stderr: [] as string[] };
  for (const stream of ['stdout', 'stderr'] as const) {
    const input = child[stream];
    if (input === null) continue;
    createInterface({ input }).on('line', (line) => {
      if (kept[stream].length < KEPT) kept[stream].push(line);
      options.onLine?.(line, stream);
    });
  }
  child.stdin?.on('error', () => undefined).end(options.input ?? '');
  let timedOut = false;
  const timer =
    options.timeout === undefined
      ? undefined
      : setTimeout(() => ((timedOut = true), kill(child, 'SIGKILL')), options.timeout);
  const abort = () => kill(child, 'SIGKILL');
  options.signal?.addEventListener('abort', abort);
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'ENOENT'
            ? new EnvironmentError('command-missing', `${command} is not installed`, { cause: error })
            : error,
        ),
      );
      child.once('close', (code) => resolve(code ?? -1));
    });
    options.signal?.throwIfAborted();
    if (timedOut) throw new EnvironmentError('command-timeout', `${command} took longer than ${options.timeout} ms`);
    const result = { exitCode, stdout: kept.stdout.join('\n'), stderr: kept.stderr.join('\n') };
    if (!(options.acceptExitCodes ?? [0]).includes(exitCode)) {
      throw new EnvironmentError(
        'command-failed',
        `${command} ended with ${exitCode}: ${result.stderr || result.stdout}`,
      );
    }
    return result;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
  }
}

function live(child: ChildProcess, { signal }: StartOptions): RunningCommand {
  const exited = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    child.once('error', () => resolve({ exitCode: 127, signal: null }));
    child.once('close', (exitCode, by) => resolve({ exitCode, signal: by }));
  });
  const stop = async (grace = 2000) => {
    kill(child, 'SIGTERM');
    const timer = setTimeout(() => kill(child, 'SIGKILL'), grace);
    await exited;
    clearTimeout(timer);
  };
  signal?.addEventListener('abort', () => void stop(0), { once: true });
  if (child.stdin === null || child.stdout === null || child.stderr === null)
    throw new Error('the command has no pipes');
  child.stdin.on('error', () => undefined);
  return { pid: child.pid ?? -1, stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exited, stop };
}

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // all of the group has ended
  }
}
