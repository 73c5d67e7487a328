import { errorKind } from '@polyvisor/core';

/** What the process ends with. Documented in docs/errors.md; scripts rely on it. */
export const ExitCode = {
  ok: 0,
  /** The question was answered, and the answer is no. */
  no: 1,
  definition: 2,
  environment: 3,
  guest: 4,
  format: 5,
  bug: 70,
  interrupted: 130,
  /** The reader of our output went away: 128 + SIGPIPE, as for every other program. */
  outputClosed: 141,
  terminated: 143,
} as const;

/** Why a run was ended from outside. The reason of the run's signal. */
export class Interruption extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.name = 'Interruption';
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interruption) return error.exitCode;
  const kind = errorKind(error);
  return kind === undefined ? ExitCode.bug : ExitCode[kind];
}
