import type { Finding } from '@polyvisor/core';

/** Places told of one rule; a damaged table can break it a million times. */
const MOST = 10;

/** Findings that wait to be told, a bounded number of each rule. */
export class FindingList {
  readonly #waiting: Finding[] = [];
  readonly #counts = new Map<string, { readonly first: Finding; count: number }>();

  add(finding: Finding): void {
    const seen = this.#counts.get(finding.rule);
    if (seen === undefined) this.#counts.set(finding.rule, { first: finding, count: 1 });
    else seen.count++;
    if ((seen?.count ?? 1) <= MOST) this.#waiting.push(finding);
  }

  /** Whether any rule is broken. */
  get any(): boolean {
    return this.#counts.size > 0;
  }

  *drain(): Generator<Finding> {
    yield* this.#waiting.splice(0);
  }

  /** How many places were left out, by rule. */
  *rest(): Generator<Finding> {
    for (const { first, count } of this.#counts.values()) {
      if (count <= MOST) continue;
      const { rule, severity, message, refusedBy } = first;
      yield { rule, severity, refusedBy, message: `${message}: ${count - MOST} more places` };
    }
  }
}
