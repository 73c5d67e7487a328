import type { Appliance, Emit, Logger } from '@polyvisor/core';
import type { BuildKey } from '../ssh/build-key.js';
import type { ExecOptions, ExecResult, Guest } from '../ssh/guest.js';

/** What every step in a guest gets. */
export interface Work {
  readonly guest: Guest;
  readonly appliance: Appliance;
  readonly key: BuildKey;
  readonly emit: Emit;
  readonly log: Logger;
  /** By how much limits are multiplied, which are meant for a guest with hardware acceleration. */
  readonly slowdown: number;
  readonly signal: AbortSignal;
}

/** For steps that only ask or write something small, in milliseconds. */
const SHORT = 120_000;

/** Runs a script of ours as root, to its end. */
export function asRoot(
  { guest, slowdown, signal }: Work,
  purpose: string,
  script: string,
  options: ExecOptions = {},
): Promise<ExecResult> {
  const { timeout = SHORT, ...rest } = options;
  return guest.exec(`set -eu\n${script}`, { root: true, purpose, ...rest, timeout: timeout * slowdown, signal });
}

/** What a script wants whoever builds to read; everything else that it says is for the log. */
const WARNING = /^warning: */i;

/** Shows what something says as it says it. Returns whether it was a warning. */
export function tell({ emit, log }: Work, stage: string, name: string, line: string): boolean {
  if (line === '') return false;
  emit({ type: 'waiting', stage, message: `${name}: ${line}` });
  const isWarning = WARNING.test(line);
  if (isWarning) log.warn(`${name}: ${line.replace(WARNING, '')}`);
  else log.debug(`${name}: ${line}`);
  return isWarning;
}
