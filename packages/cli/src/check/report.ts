import type { DiskConverter } from '@polyvisor/core';
import { table } from '../table.js';
import { knownConsumers, loads } from './consumers.js';
import type { Level } from './judge.js';
import type { FindingTally, JudgedFinding } from './tally.js';

/** Findings of one rule that are shown to people; the rest is a number. */
const SHOWN = 20;

const INDENT = ' '.repeat(9);

/** One finding: what it means, the rule and the place; then what is wrong, the facts, and what to do. */
function findingLines(finding: JudgedFinding, consumer: string | undefined): readonly string[] {
  const { level, severity, rule, offset, message, found, expected, refusedBy, hint } = finding;
  const place = offset === undefined ? '' : `  at 0x${offset.toString(16)} (${offset})`;
  const forbidden = consumer !== undefined && severity === 'error' && level !== 'error';
  return [
    `${level.padEnd(7)}  ${rule}${place}`,
    message,
    ...(forbidden ? [`the format forbids it; ${consumer} does not mind`] : []),
    ...(found === undefined ? [] : [`found:     ${found}`]),
    ...(expected === undefined ? [] : [`expected:  ${expected}`]),
    ...(consumer !== undefined || refusedBy.length === 0 ? [] : [`refused by ${refusedBy.join(', ')}`]),
    ...(hint === undefined ? [] : [`do:        ${hint}`]),
  ].map((line, index) => (index === 0 ? line : `${INDENT}${line}`));
}

export function findingsText(tally: FindingTally, consumer: string | undefined): string {
  const shown = new Map<string, number>();
  const lines: string[] = [];
  for (const finding of tally.findings) {
    const count = (shown.get(finding.rule) ?? 0) + 1;
    shown.set(finding.rule, count);
    if (count <= SHOWN) lines.push(...findingLines(finding, consumer));
    else if (count === SHOWN + 1) lines.push(`${INDENT}${tally.count(finding.rule) - SHOWN} more of ${finding.rule}`);
  }
  return lines.join('\n');
}

/** `2 errors, 1 warning`, or `nothing to complain about`. */
export function levelsText(levels: Readonly<Record<Level, number>>): string {
  const parts = Object.entries(levels)
    .filter(([, count]) => count > 0)
    .map(([level, count]) => `${count} ${level}${count === 1 ? '' : 's'}`);
  return parts.length === 0 ? 'nothing to complain about' : parts.join(', ');
}

export interface Verdict {
  readonly consumer: string;
  /** Whether it has a reader for the format at all. */
  readonly loads: boolean;
  /** Rules for which it refuses the image. */
  readonly rules: readonly string[];
}

/** What each known consumer would say. Empty when the converter does not tell whom its format is for. */
export function verdicts(
  tally: FindingTally,
  converter: DiskConverter,
  converters: readonly DiskConverter[],
): readonly Verdict[] {
  if (converter.capabilities.consumers === undefined) return [];
  return knownConsumers(converters).map((consumer) => ({
    consumer,
    loads: loads(consumer, converter) === true,
    rules: tally.refusals(consumer),
  }));
}

export function verdictTable(all: readonly Verdict[], format: string): string {
  const text = ({ loads, rules }: Verdict) =>
    !loads
      ? `does not load ${format}`
      : rules.length === 0
        ? 'takes it'
        : `refuses it for ${rules.length === 1 ? 'one rule' : `${rules.length} rules`}: ${rules.join(', ')}`;
  // Those whom it is for first.
  const sorted = [...all].sort((one, other) => Number(other.loads) - Number(one.loads));
  return table(
    [{ title: 'CONSUMER' }, { title: 'VERDICT' }],
    sorted.map((verdict) => [verdict.consumer, text(verdict)]),
  );
}
