import type { Finding } from '@polyvisor/core';
import type { Consumer } from './consumers.js';

/** What is wrong in one image, and where. */
export interface Breach {
  readonly offset?: number;
  readonly expected?: string;
  readonly found?: string;
  /** In place of the rule's own, where it depends on what was found. */
  readonly refusedBy?: readonly Consumer[];
  readonly severity?: Finding['severity'];
}

/** One rule about one kind of structure: what it says, who enforces it, and how it is seen to be broken. */
export interface Rule<Subject> {
  /** Without the format: `footer-checksum`. */
  readonly rule: string;
  readonly severity: Finding['severity'];
  readonly message: string;
  readonly refusedBy: readonly Consumer[];
  readonly hint?: string;
  /** Undefined, or false, where the rule is kept. */
  readonly breach: (subject: Subject) => Breach | undefined | false;
}

export function* applyRules<Subject>(rules: readonly Rule<Subject>[], subject: Subject): Generator<Finding> {
  for (const { breach, ...rule } of rules) {
    const broken = breach(subject);
    if (broken) yield finding(rule, broken);
  }
}

export function finding(rule: Omit<Rule<never>, 'breach'>, breach: Breach = {}): Finding {
  return { ...rule, ...breach, rule: `vhd-${rule.rule}` };
}

/** Numbers as the format's own texts write them. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** Index of the first byte that is not zero; undefined when all are. */
export function firstNonZero(bytes: Uint8Array): number | undefined {
  const index = bytes.findIndex((byte) => byte !== 0);
  return index === -1 ? undefined : index;
}
