import type { Finding } from '@polyvisor/core';
import { printable } from './xml-reader.js';

/** Who imports appliances, and whose rules `check` knows. */
export const CONSUMERS = ['esxi', 'virtualbox'] as const;
export const ESXI = ['esxi'] as const;
export const VIRTUALBOX = ['virtualbox'] as const;
export const NOBODY = [] as const;

type Details = Partial<Pick<Finding, 'offset' | 'expected' | 'found' | 'hint'>>;

export function error(rule: string, refusedBy: readonly string[], message: string, details: Details = {}): Finding {
  return { rule, severity: 'error', message, refusedBy, ...details };
}

export function warning(rule: string, refusedBy: readonly string[], message: string, details: Details = {}): Finding {
  return { rule, severity: 'warning', message, refusedBy, ...details };
}

/** What a stranger wrote, for a message. */
export function quoted(text: string): string {
  return JSON.stringify(printable(text));
}
