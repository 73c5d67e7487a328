import type { Event } from '@polyvisor/core';
import type { ErrorReport } from '../error-report.js';
import type { Colors } from 'picocolors/types.js';
import type { Output } from '../io.js';

/** Adds colours to a text that is ready to be shown: whatever could move a cursor was removed before. */
export type Paint = (text: string, colors: Colors) => string;

/** Shows what happens during one run. Progress goes to stderr, answers to stdout. */
export interface Renderer {
  event(event: Event): void;
  /** The run's answer: `value` for machines, `text` for people, painted where it goes to a terminal. Shown even when quiet. */
  result(value: object, text: string, paint?: Paint): void;
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
  /** Colours in the answer, which may go elsewhere than the rest. */
  readonly answerColor?: boolean;
  /** Hides secrets; every text passes through it before it is written. */
  readonly redact: (text: string) => string;
  /** In milliseconds since the Unix epoch. */
  readonly now: () => number;
}
