import type { CheckOptions, Finding, ImageFile } from '@polyvisor/core';
import { readImage } from './read-image.js';
import { Findings } from './rules.js';

/** Every rule of the format and of its consumers. Reads the tables, of the payload nothing. */
export async function* checkVhdx(file: ImageFile, { signal }: CheckOptions): AsyncGenerator<Finding> {
  const findings = new Findings();
  const image = await readImage(file, findings.report);
  yield* findings.take();
  await image?.bat.check(image.occupancy, findings.report, signal);
  yield* findings.take();
  yield* findings.rest();
}
