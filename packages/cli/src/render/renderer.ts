import type { Event } from '@polyvisor/core';
import type { ErrorReport } from '../error-report.js';
import type { Output } from '../io.js';

/** Shows what happens during one run. Progress goes to stderr, answers to stdout. */
export interface Renderer {
  event(event: Event): void;
  /** The run's answer: `value` for machines, `text` for people. Shown even when quiet. */
  result(value: object, text: string): void;
  error(report: ErrorReport): void;
  /** Leaves the terminal as it should be. Idempotent. */
  close(): void;
}

export interface RenderOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  /** `quiet`: only warnings, errors and the answer. `verbose`: also what plugins and the programs they run say. */
  readonly verbosity: 'quiet' | 'normal' | 'verbose';
  readonly color: boolean;
  /** Hides secrets; every text passes through it before it is written. */
  readonly redact: (text: string) => string;
  /** In milliseconds since the Unix epoch. */
  readonly now: () => number;
}
