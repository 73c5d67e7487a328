import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readText } from './repository.js';
import { copyWorkspace, type WorkspaceCopy } from './workspace-copy.js';

const guide = readText('docs/writing-a-converter.md');
const folder = 'plugins/converter-parallels';

let copy: WorkspaceCopy;
beforeAll(async () => {
  copy = await copyWorkspace();
}, 60_000);
afterAll(() => copy.remove());

describe('docs/writing-a-converter.md, followed word by word', () => {
  it('lays out the folder with its first command', async () => {
    const [, line] = /^npx nx (generate .*)$/m.exec(guide) ?? [];
    const { code } = await copy.run('nx/dist/bin/nx.js', (line ?? '').split(' '));
    expect(code).toBe(0);
    await copy.link();
  }, 120_000);

  it('replaces only files that were laid out', async () => {
    const sources = [...guide.matchAll(/^```ts (src\/\S+)\n([\s\S]*?)^```$/gm)];
    expect(sources).toHaveLength(5);
    for (const [, path = '', text = ''] of sources) {
      await readFile(join(copy.directory, folder, path));
      await writeFile(join(copy.directory, folder, path), text);
    }
  });

  it('compiles', async () => {
    expect(await copy.run('typescript/bin/tsc', ['-b', folder])).toEqual({ code: 0, output: '' });
  }, 120_000);

  it('passes the conformance suite, with all its judges', async () => {
    const { code, output } = await copy.run('vitest/vitest.mjs', [
      'run',
      '--project',
      '@polyvisor/converter-parallels',
    ]);
    expect(output).toMatch(/Tests\s+\d\d passed \(\d\d\)/);
    expect(code).toBe(0);
  }, 180_000);
});
