import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Formats, provisioners and booters explain their codes on their own pages: a new one must not need a change here. */
const PACKAGES = ['core', 'definition', 'build', 'host', 'cli'];

it('docs/errors.md explains every code', async () => {
  const codes = new Set<string>();
  for (const name of PACKAGES) {
    const folder = join(ROOT, 'packages', name, 'src');
    for (const file of await readdir(folder, { recursive: true })) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
      const text = await readFile(join(folder, file), 'utf8');
      for (const [, code] of text.matchAll(
        /(?:(?:Definition|Environment|Guest|Format)Error|refusal)\(\s*'([a-z0-9-]+)'/g,
      ))
        codes.add(code ?? '');
    }
  }
  expect(codes.size).toBeGreaterThan(40);
  const page = await readFile(join(ROOT, 'docs/errors.md'), 'utf8');
  expect([...codes].filter((code) => !page.includes(`\`${code}\``)).sort()).toEqual([]);
});
