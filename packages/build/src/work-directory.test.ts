import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Event } from '@polyvisor/core';
import { ownerTag } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createOutputDirectory } from './output-directory.js';
import { removeStale } from './stale.js';
import { createWorkDirectory } from './work-directory.js';

describe('what killed runs left behind', () => {
  let root: string;
  /** Number of a process that has ended. */
  let dead: string;
  let alive: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'stale-'));
    const child = spawn('true');
    await once(child, 'exit');
    alive = ownerTag();
    const [, start, host] = alive.split('-');
    dead = `${child.pid}-${start}-${host}`;
  });

  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  const silent = (_event: Event) => undefined;

  async function leave(...names: string[]): Promise<void> {
    for (const name of names) {
      await mkdir(join(root, name));
      await writeFile(join(root, name, 'file'), '');
    }
  }

  it('is removed when its process is dead, and only then', async () => {
    const [pid, , host] = alive.split('-');
    const reused = `${pid}-1-${host}`; // our number, of a process that started at another time
    const elsewhere = dead.replace(/[0-9a-f]{8}$/, '00000000');
    await leave(`polyvisor-${dead}-aaaaaa`, `polyvisor-${reused}-bbbbbb`);
    const others = [
      `polyvisor-${alive}-cccccc`,
      `polyvisor-${elsewhere}-dddddd`,
      'polyvisor-notes',
      `polyvisor-${dead}-toolonganame`,
      `mine-${dead}-eeeeee`,
    ];
    await leave(...others);
    const work = await createWorkDirectory(root, silent);
    expect((await readdir(root)).sort()).toEqual([...others, work.path.slice(root.length + 1)].sort());
    await work[Symbol.asyncDispose]();
    expect((await readdir(root)).sort()).toEqual(others.sort());
  });

  it('stays when it was to be kept, also for later runs', async () => {
    const kept = await createWorkDirectory(root, silent);
    await kept.keep();
    await kept[Symbol.asyncDispose]();
    expect(await readdir(root)).toHaveLength(1);
    await leave(`polyvisor-${dead}-aaaaaa`);
    await writeFile(join(root, `polyvisor-${dead}-aaaaaa`, '.polyvisor-keep'), '');
    const work = await createWorkDirectory(root, silent);
    expect(await readdir(root)).toHaveLength(3);
    await work[Symbol.asyncDispose]();
  });

  it('is discarded by others where rights are missing, and reported when they cannot either', async () => {
    // What no rights suffice for, whoever runs this test.
    const path = '/proc/self/fdinfo';
    const discarded: string[] = [];
    const problem = await removeStale(path, (given) => Promise.resolve(void discarded.push(given)));
    expect(discarded).toEqual([path]);
    expect(problem).toContain(`remove ${path} by hand`);
    await leave('plain');
    expect(await removeStale(join(root, 'plain'), () => Promise.reject(new Error('not needed')))).toBeUndefined();
    expect(await readdir(root)).toEqual([]);
  });

  it('of outputs is removed, and an output that was moved aside goes back', async () => {
    await leave(`out.${dead}.part`, `out.${dead}.part.old`, `out.${alive}.part.old`, `other.${dead}.part`);
    const output = await createOutputDirectory(join(root, 'fresh'), false);
    await output[Symbol.asyncDispose]();
    await expect(createOutputDirectory(join(root, 'out'), false)).rejects.toMatchObject({ code: 'output-exists' });
    expect((await readdir(root)).sort()).toEqual(['out', `out.${alive}.part.old`].sort());
  });
});
