import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeDirectory } from './directory.js';

let root: string;
beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'polyvisor-directory-'))));
afterEach(() => rm(root, { recursive: true, force: true }));

it('makes what is missing, several times and at the same time', async () => {
  const path = join(root, 'a/b/c');
  await Promise.all([makeDirectory(path), makeDirectory(path), makeDirectory(join(root, 'a/d'))]);
  await makeDirectory(path);
  expect((await stat(path)).isDirectory()).toBe(true);
  await symlink(path, join(root, 'link'));
  await makeDirectory(join(root, 'link'));
  await makeDirectory('/');
});

it('refuses a file in the way', async () => {
  await writeFile(join(root, 'file'), '');
  await expect(makeDirectory(join(root, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeDirectory(join(root, 'file/a'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

it.runIf(process.platform === 'linux')('comes to an end where no directory can be made', async () => {
  await expect(makeDirectory('/proc/polyvisor/a')).rejects.toMatchObject({ code: 'ENOENT' });
});
