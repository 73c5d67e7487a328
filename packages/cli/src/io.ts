import type { Readable, Writable } from 'node:stream';

/** A stream for output that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined };

/** Everything that the command takes from its process, so that tests can give something else. */
export interface Io {
  /** For `-` in the place of an image; absent: there is none. */
  readonly stdin?: Readable;
  /** Answers, and nothing else. */
  readonly stdout: Output;
  /** Progress, warnings and errors. */
  readonly stderr: Output;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Fires when the run is to end early; its reason may be an `Interruption`. */
  readonly signal: AbortSignal;
}
