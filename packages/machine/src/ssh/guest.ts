import type { GuestAccess } from '@polyvisor/core';

/** A running guest in which commands can be run. Disposing ends what still runs there, and the connection; it is idempotent. */
export interface Guest extends AsyncDisposable {
  readonly access: GuestAccess;
  /**
   * Runs a POSIX shell script of ours. Rejects with `GuestError`: `guest-command-failed` (its exit code is not accepted),
   * `guest-command-timeout`, `guest-become-failed` (it cannot be root), `ssh-connection-lost`, `machine-stopped`; and at once
   * with the signal's reason when cancelled. What it had started is killed in the guest after a time-out and a cancellation.
   */
  exec(script: string, options?: ExecOptions): Promise<ExecResult>;
  /** Copies a file or a whole tree of this machine into the guest, as root. */
  upload(from: string, to: string, options?: UploadOptions): Promise<void>;
  /** Restarts the guest, or waits for the restart that it began itself, and is connected again afterwards. */
  restart(options?: RestartOptions): Promise<void>;
  /** A number that is another one after each start of the guest; empty where the guest has none. */
  bootId(signal?: AbortSignal): Promise<string>;
  /** Makes known that this user has another password from now on, for `sudo`, `su` and later logins. */
  usePassword(user: string, password: string): void;
}

export interface ExecOptions {
  /** As root, by `access.become`. */
  readonly root?: boolean;
  /** `$1`, `$2`, … */
  readonly arguments?: readonly string[];
  /** Shows in no list of processes, in the guest or here. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Standard input; absent: `/dev/null`. */
  readonly input?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** In milliseconds; absent: none. */
  readonly timeout?: number;
  /** Called with each line as it comes: without its end, without colours, cut when it is longer than a screen has room for. */
  readonly onLine?: (line: string, stream: OutputStream) => void;
  /** Called with each piece of output, unchanged. */
  readonly onBytes?: (bytes: Buffer, stream: OutputStream) => void;
  /** Exit codes that do not reject; default only 0. */
  readonly acceptExitCodes?: readonly number[] | 'any';
  /** What it does, for messages: "updating the package lists". */
  readonly purpose?: string;
  readonly signal?: AbortSignal;
}

export type OutputStream = 'stdout' | 'stderr';

export interface ExecResult {
  /** 128 and the signal's number, as shells have it, where a signal killed it. */
  readonly exitCode: number;
  /** The last MiB of it. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface UploadOptions {
  /** `user:group` by name or number in the guest; default root's. */
  readonly owner?: string;
  /** Permission bits for files; absent: as on this machine, but for what lets others than the owner write. */
  readonly mode?: number;
  /** Called with the bytes of files that have been sent. */
  readonly onProgress?: (done: number, total: number) => void;
  /** In milliseconds without any progress. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

export interface RestartOptions {
  /** `bootId` from before; given when the guest may have begun to restart already, or to have finished doing so. */
  readonly since?: string;
  /** In milliseconds, until it is back; default `access.timeout`. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}
