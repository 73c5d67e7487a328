import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PluginContext } from '@polyvisor/core';
import { createTestContext } from '@polyvisor/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeTree } from './remove-tree.js';

let root: string;
const { signal } = new AbortController();

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'remove-tree-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

it('needs no tool for what its user may remove, and nothing that is not there', async () => {
  await mkdir(join(root, 'provision/tree'), { recursive: true });
  await writeFile(join(root, 'provision/tree/file'), '');
  const context = createTestContext({ path: root });
  await removeTree(context, join(root, 'provision'), signal);
  await removeTree(context, join(root, 'provision'), signal);
  expect(await readdir(root)).toEqual([]);
  expect(context.commands).toEqual([]);
});

it('asks a user of a namespace where its own rights end', async () => {
  const ran: string[][] = [];
  const context = {
    run: (command: string, args: readonly string[]) => Promise.resolve(void ran.push([command, ...args])),
  } as unknown as PluginContext;
  // What no rights suffice for, whoever runs this test.
  await removeTree(context, '/proc/self/fdinfo', signal);
  expect(ran).toEqual([expect.arrayContaining(['unshare', 'rm', '--one-file-system', '/proc/self/fdinfo'])]);
  await expect(removeTree(context, root, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});
