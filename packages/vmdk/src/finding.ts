import type { Finding } from '@polyvisor/core';

/** Who loads VMDKs, as `check --for` names them. */
export const VMDK_CONSUMERS = ['kvm', 'esxi', 'virtualbox'] as const;
export type VmdkConsumer = (typeof VMDK_CONSUMERS)[number];

/** Findings of one rule beyond which they are only counted: a broken table has 512 entries. */
const MOST_OF_A_RULE = 10;

type Details = Pick<Finding, 'offset' | 'expected' | 'found' | 'hint'>;

export function error(
  rule: string,
  message: string,
  refusedBy: readonly VmdkConsumer[],
  details: Details = {},
): Finding {
  return { rule, severity: 'error', message, refusedBy, ...details };
}

export function warning(
  rule: string,
  message: string,
  refusedBy: readonly VmdkConsumer[],
  details: Details = {},
): Finding {
  return { rule, severity: 'warning', message, refusedBy, ...details };
}

/** Passes on the first findings of every rule, and at the end says how many more there are. */
export async function* bounded(findings: AsyncIterable<Finding>): AsyncGenerator<Finding> {
  const counts = new Map<string, { count: number; last: Finding }>();
  for await (const finding of findings) {
    const count = (counts.get(finding.rule)?.count ?? 0) + 1;
    counts.set(finding.rule, { count, last: finding });
    if (count <= MOST_OF_A_RULE) yield finding;
  }
  for (const { count, last } of counts.values()) {
    const { rule, severity, refusedBy } = last;
    const more = count - MOST_OF_A_RULE;
    if (more > 0) yield { rule, severity, refusedBy, message: `${more} more of these` };
  }
}
