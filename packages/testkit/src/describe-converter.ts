import type { DiskConverter } from '@polyvisor/core';
import { describe } from 'vitest';
import { describeItself, describeOptions, writtenShapes } from './describe-converter/contract.js';
import { describeFailures } from './describe-converter/failures.js';
import { describeFiles } from './describe-converter/files.js';
import { describeHostility } from './describe-converter/hostility.js';
import { describeOracles } from './describe-converter/judges.js';
import { describeLargest } from './describe-converter/largest.js';
import { describeRandomOptions } from './describe-converter/option-sets.js';
import { describeSeveralDisks } from './describe-converter/several-disks.js';
import { type ConverterSuite, optionSets } from './describe-converter/suite.js';

export type { ConverterSuite, OptionSet } from './describe-converter/suite.js';
export { applyPatches } from './describe-converter/check.js';
export { writeFileImage, writeRaw } from './describe-converter/judges.js';
export { job, write } from './describe-converter/write.js';

/** Everything that must hold for every converter. A plugin's own test calls it; a new rule lands here and applies to all. */
export function describeConverter(converter: DiskConverter, suite: ConverterSuite): void {
  describe(`${converter.id} keeps the converter contract`, () => {
    describeItself(converter, suite);
    for (const [index, [name, options]] of Object.entries(optionSets(suite)).entries()) {
      describe(name, () => {
        const depth = index === 0 ? 'all' : 'some';
        describeOptions(converter, options, writtenShapes(converter, options), depth);
        describeFailures(converter, options, depth);
        if (suite.knownLimits?.includes('no-redundancy') !== true) describeHostility(converter, options, depth);
        if (suite.oracles.length > 0) describeOracles(converter, options, suite.oracles, depth);
      });
    }
    describeRandomOptions(converter, suite);
    describeLargest(converter, suite);
    describeSeveralDisks(converter);
    describeFiles(converter);
  });
}
