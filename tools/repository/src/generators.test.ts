import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyWorkspace, type WorkspaceCopy } from './workspace-copy.js';

let copy: WorkspaceCopy;
beforeAll(async () => {
  copy = await copyWorkspace();
}, 60_000);
afterAll(() => copy.remove());

const generate = (kind: string, id: string) =>
  copy.run('nx/dist/bin/nx.js', ['generate', `@polyvisor/workspace-plugin:${kind}`, id]);

describe.each([
  { kind: 'converter', id: 'some-format', page: 'docs/formats/some-format.md' },
  { kind: 'provisioner', id: 'some-hypervisor', page: undefined },
])('the generator of a $kind', ({ kind, id, page }) => {
  const folder = `plugins/${kind}-${id}`;
  let changed: string[];

  it('makes the folder and the page, and touches nothing else', async () => {
    const before = await contents(copy.directory);
    const { code, output } = await generate(kind, id);
    expect(output).toContain(`CREATE ${folder}/package.json`);
    expect(code).toBe(0);
    const after = await contents(copy.directory);
    changed = [...after].filter(([path, text]) => before.get(path) !== text).map(([path]) => path);
    expect(changed.filter((path) => !path.startsWith(`${folder}/`))).toEqual(page === undefined ? [] : [page]);
    expect(changed.length).toBeGreaterThan(8);
    // What stands in a template is not HTML.
    for (const path of changed) expect(after.get(path), path).not.toMatch(/&(?:gt|lt|amp|quot|#\d+);/);
  }, 120_000);

  it('makes what compiles and is laid out as everything here', async () => {
    await copy.link();
    expect(await copy.run('typescript/bin/tsc', ['-b', folder])).toEqual({ code: 0, output: '' });
    const checked = changed.filter((path) => /\.(ts|json)$/.test(path));
    expect(await copy.run('prettier/bin/prettier.cjs', ['--check', '--log-level=warn', ...checked])).toEqual({
      code: 0,
      output: '',
    });
  }, 120_000);

  it('makes a test that fails until there is something to test', async () => {
    const { code, output } = await copy.run('vitest/vitest.mjs', ['run', '--project', `@polyvisor/${kind}-${id}`]);
    expect(output).toMatch(/Tests\s+\d+ failed \| \d+ passed/);
    expect(code).toBe(1);
  }, 120_000);

  it('refuses to write over what is there', async () => {
    const { code, output } = await generate(kind, id);
    expect(output).toContain(`${folder} exists`);
    expect(code).not.toBe(0);
    expect(existsSync(join(copy.directory, folder))).toBe(true);
  }, 120_000);
});

/** Every file of the workspace that would be committed, with its text. */
async function contents(directory: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name).slice(directory.length + 1);
    if (!entry.isFile() || /(^|\/)(node_modules|dist|out-tsc|\.nx)\//.test(path)) continue;
    found.set(path, await readFile(join(directory, path), 'utf8'));
  }
  return found;
}
