import type { Finding } from '@polyvisor/core';
import { type Level, levelOf } from './judge.js';

export interface JudgedFinding extends Finding {
  readonly level: Level;
}

/** Findings of one rule that are kept; a damaged table can break one in every entry. */
const KEPT = 1000;

/** Gathers findings in bounded memory: the first of each rule, and numbers of all. */
export class FindingTally {
  readonly #consumer: string | undefined;
  readonly #kept: JudgedFinding[] = [];
  readonly #byRule = new Map<string, number>();
  readonly #refusals = new Map<string, Set<string>>();
  readonly #levels: Record<Level, number> = { error: 0, warning: 0, note: 0 };
  #broken = false;

  constructor(consumer?: string) {
    this.#consumer = consumer;
  }

  add(finding: Finding): void {
    const level = levelOf(finding, this.#consumer);
    const count = (this.#byRule.get(finding.rule) ?? 0) + 1;
    this.#byRule.set(finding.rule, count);
    this.#levels[level]++;
    this.#broken ||= finding.severity === 'error';
    for (const consumer of finding.refusedBy) this.addRefusal(consumer, finding.rule);
    if (count <= KEPT) this.#kept.push({ ...finding, level });
  }

  /** Counts a rule that only matters to the one who asks for it, and is no finding for anybody else. */
  addRefusal(consumer: string, rule: string): void {
    const rules = this.#refusals.get(consumer) ?? new Set();
    this.#refusals.set(consumer, rules.add(rule));
  }

  /** In the order in which they were found, at most a thousand of a rule. */
  get findings(): readonly JudgedFinding[] {
    return this.#kept;
  }

  /** How often each level came up, those that were not kept included. */
  get levels(): Readonly<Record<Level, number>> {
    return this.#levels;
  }

  /** Whether anything was an error in itself, though it may be none to the consumer. */
  get broken(): boolean {
    return this.#broken;
  }

  /** How often a rule is broken. */
  count(rule: string): number {
    return this.#byRule.get(rule) ?? 0;
  }

  /** Names of the rules for which a consumer refuses the image. */
  refusals(consumer: string): readonly string[] {
    return [...(this.#refusals.get(consumer) ?? [])];
  }
}
