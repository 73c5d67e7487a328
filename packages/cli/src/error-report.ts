import { errorKind, type Issue, type PolyvisorError } from '@polyvisor/core';
import { exitCodeOf } from './exit-code.js';
import { packageVersion } from './version.js';

/** An error as plain data, for every renderer. */
export interface ErrorReport {
  readonly kind: string;
  /** Stable name of the problem; docs/errors.md lists them. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly issues?: readonly Issue[];
  /** The last lines of the guest or the script. */
  readonly transcript?: string;
  /** Of a bug only. */
  readonly stack?: string;
  readonly exitCode: number;
}

/** Fields of our error classes. Tested by presence: an error may come from another copy of core. */
type Fields = Partial<{ issues: readonly Issue[]; transcript: string }>;

export function reportOf(error: unknown): ErrorReport {
  const exitCode = exitCodeOf(error);
  const kind = errorKind(error);
  if (kind !== undefined) {
    const { code, message, hint, issues, transcript } = error as PolyvisorError & Fields;
    return {
      kind,
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(issues === undefined || issues.length === 0 ? {} : { issues }),
      ...(transcript === undefined ? {} : { transcript }),
      exitCode,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (exitCode !== 70) return { kind: 'interruption', code: 'interrupted', message, exitCode };
  return {
    kind: 'bug',
    code: 'bug',
    message,
    hint: `this is a bug in polyvisor ${packageVersion()} (Node ${process.version}, ${process.platform} ${process.arch}); please report it with the lines above`,
    stack: stackOf(error),
    exitCode,
  };
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** One line for an issue: `file:line:column: message (hint)`. */
export function issueLine({ file, line, column, message, hint }: Issue): string {
  const place = [file, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':');
  return `${place}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}

/** The report as lines for people, most important last: a terminal shows the end. */
export function reportLines(report: ErrorReport): string[] {
  const lines: string[] = [];
  if (report.stack !== undefined) lines.push(report.stack);
  if (report.transcript !== undefined)
    lines.push(
      ...report.transcript
        .trimEnd()
        .split('\n')
        .map((line) => `  | ${line}`),
    );
  lines.push(...(report.issues ?? []).map(issueLine).filter((line) => line !== report.message)); // a single one may be the message
  return lines;
}
