import type { Oracle } from '../oracles.js';

/** Options as a person writes them, before the converter's schema parses them. */
export type OptionSet = Readonly<Record<string, unknown>>;

export interface ConverterSuite {
  /** Programs that judge what was written, on every shape and with every set of options. */
  readonly oracles: readonly Oracle[];
  /**
   * Sets of options to try beside the defaults, by a name for the test. Their values are also those that the random sets of
   * options take where the schema does not say what is allowed (sizes, names).
   */
  readonly variants?: Readonly<Record<string, OptionSet>>;
  /**
   * Size in bytes of the largest disk to try, where `capabilities.maxSize` would take a test too long. Absent: `maxSize`,
   * at most 64 TiB.
   */
  readonly largest?: number;
  /**
   * What the format cannot do, each a decision of its own:
   * `unrecognisable`: nothing in the file says what it is (raw), so `detect` answers "maybe" at best;
   * `no-redundancy`: the file is the disk, so damage to it is not an error.
   */
  readonly knownLimits?: readonly ('unrecognisable' | 'no-redundancy')[];
}

/** The defaults and the variants, by name. */
export function optionSets({ variants = {} }: ConverterSuite): Readonly<Record<string, OptionSet>> {
  return { 'default options': {}, ...variants };
}

/**
 * How much is tried: everything with the default options, of the same less with each variant, for a format may have many and
 * they share most of their code.
 */
export type Depth = 'all' | 'some';
