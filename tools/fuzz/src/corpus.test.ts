import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CORPUS, readInputs } from './corpus.js';
import { loadHost } from './readers.js';
import { exercise } from './subject.js';

const formats = await readdir(CORPUS).catch(() => []);

describe('the inputs that fuzzing kept are read or refused by', () => {
  for (const format of formats) {
    it(
      format,
      async () => {
        await using host = await loadHost();
        const inputs = await readInputs(join(CORPUS, format));
        expect(inputs.length).toBeGreaterThan(0);
        for (const { name, bytes } of inputs)
          await exercise(host.converter(format), bytes).catch((cause: unknown) => {
            throw new Error(`${format}/${name}: ${String(cause)}`, { cause });
          });
      },
      120_000,
    );
  }
});
