import type { DiskConverter } from '@polyvisor/core';
import type { Coverage } from './coverage.js';
import { MAX_INPUT, mutate } from './mutate.js';
import type { Random } from './random.js';
import { exercise, mended, Violation } from './subject.js';

/** New inputs kept in memory for one reader, in bytes; beyond it, the oldest goes. */
export const POOL = 64 * 1024 * 1024;

export interface FuzzOptions {
  readonly converter: DiskConverter;
  /** What to start from: images that the converter writes, and what earlier runs kept. */
  readonly inputs: readonly Uint8Array[];
  readonly coverage: Coverage;
  readonly random: Random;
  /** Asked before each run. */
  readonly goOn: () => boolean;
  readonly before: (input: Uint8Array) => void;
  readonly onViolation: (input: Uint8Array, violation: Violation) => void;
  /** An input that ran code which none before it did. */
  readonly onNews: (input: Uint8Array) => void;
}

export interface FuzzResult {
  readonly runs: number;
  readonly features: number;
}

/** Mutates inputs, runs them, and keeps those that reach new code, as AFL does. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { converter, coverage, random } = options;
  const seen = new Set<string>();
  const pool: Uint8Array[] = [];
  let runs = 0;

  const run = async (input: Uint8Array): Promise<boolean> => {
    runs++;
    options.before(input);
    try {
      await exercise(converter, input);
    } catch (error) {
      options.onViolation(input, error instanceof Violation ? error : new Violation(String(error), error));
    }
    const before = seen.size;
    for (const feature of await coverage.take()) seen.add(feature);
    return seen.size > before;
  };

  await coverage.take();
  for (const input of options.inputs) {
    await run(input);
    pool.push(input);
  }
  const others = pool.length > 0 ? pool : [new Uint8Array(512)];
  const first = others.length;
  while (options.goOn()) {
    let input = mutate(pick(others, random), random, others);
    // Half of the inputs get their checksums mended, or nothing behind them would ever be reached.
    if (random.below(2) === 0) input = await mended(converter, input, MAX_INPUT);
    if (!(await run(input))) continue;
    others.push(input);
    options.onNews(input);
    while (total(others.slice(first)) > POOL) others.splice(first, 1);
  }
  return { runs, features: seen.size };
}

/** What was found last is tried most: it stands at the border of what is known. */
function pick(pool: readonly Uint8Array[], random: Random): Uint8Array {
  const recent = pool.slice(-8);
  return random.pick(random.below(3) === 0 ? recent : pool);
}

function total(pool: readonly Uint8Array[]): number {
  return pool.reduce((sum, { length }) => sum + length, 0);
}
