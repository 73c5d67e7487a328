import type { Readable, Writable } from 'node:stream';
import type { Booter } from './booter.js';
import type { DiskConverter } from './converter.js';
import type { Logger } from './events.js';
import type { Provisioner } from './provisioner.js';

/** Changes when a plugin made for an older host can no longer work with a newer one. */
export const PLUGIN_API = 1;

/** What a plugin's entry module exports as its default. Factories are called at most once a run, and only when needed. */
export interface Plugin {
  readonly api: number;
  /** `^[a-z][a-z0-9-]*$`, by convention the package's name without its scope. */
  readonly name: string;
  readonly converters: readonly ((context: PluginContext) => DiskConverter)[];
  readonly provisioners: readonly ((context: PluginContext) => Provisioner)[];
  readonly booters: readonly ((context: PluginContext) => Booter)[];
}

/** All that a plugin gets from the host. */
export interface PluginContext {
  readonly log: Logger;
  /**
   * Runs a command to its end. Rejects with `EnvironmentError`: `command-missing` (not on PATH), `command-failed` (its exit
   * code is not accepted; the message carries its last words), `command-timeout`; and with the signal's reason when cancelled.
   */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Starts a command that lives on; the host ends it when the run ends, whatever happens. */
  start(command: string, args: readonly string[], options?: StartOptions): RunningCommand;
}

export interface StartOptions {
  readonly cwd?: string;
  /** Added to the few variables that every command gets (PATH, HOME, LC_ALL=C.UTF-8, TMPDIR, proxies). */
  readonly env?: Readonly<Record<string, string>>;
  /** The command and all it started are killed when it fires. */
  readonly signal?: AbortSignal;
}

export interface RunOptions extends StartOptions {
  readonly input?: string | Uint8Array;
  /** In milliseconds; then the command and all it started are killed. */
  readonly timeout?: number;
  /** Called with each line as it comes, without its line end. Output is kept in the result as well, up to 1 MiB of its end. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** Exit codes that do not reject; default only 0. */
  readonly acceptExitCodes?: readonly number[];
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when the command has ended; never rejects. `signal` is set when it was killed. */
  readonly exited: Promise<{ readonly exitCode: number | null; readonly signal: string | null }>;
  /** Ends the command and all it started: SIGTERM, then SIGKILL after `grace` milliseconds (default 2000). Idempotent. */
  stop(grace?: number): Promise<void>;
}

/** Checks nothing at run time (the host does); gives the author types and the current API number. */
export function definePlugin(plugin: Partial<Omit<Plugin, 'api' | 'name'>> & Pick<Plugin, 'name'>): Plugin {
  return { api: PLUGIN_API, converters: [], provisioners: [], booters: [], ...plugin };
}
