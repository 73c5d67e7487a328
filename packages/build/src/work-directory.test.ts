import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Event, Provisioner } from '@polyvisor/core';
import { ownerTag } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FindProvisioner } from './discard.js';
import { findLeftovers, removeLeftover } from './leftovers.js';
import { createOutputDirectory } from './output-directory.js';
import { removeStale } from './stale.js';
import { cleanWorkRoot, createWorkDirectory } from './work-directory.js';
import { provisionDirectory, readWorkState, writeWorkState } from './work-state.js';

describe('what killed runs left behind', () => {
  let root: string;
  /** Number of a process that has ended. */
  let dead: string;
  let alive: string;

  beforeEach(async () => {
    messages = [];
    root = await realpath(await mkdtemp(join(tmpdir(), 'stale-')));
    const child = spawn('true');
    await once(child, 'exit');
    alive = ownerTag();
    const [, start, host] = alive.split('-');
    dead = `${child.pid}-${start}-${host}`;
  });

  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  const state = { command: 'build', subject: 'definition.yaml' } as const;
  let messages: string[];
  const silent = (event: Event) => void (event.type === 'log' && messages.push(event.message));
  const clean = (find: FindProvisioner = () => undefined) =>
    cleanWorkRoot(root, silent, new AbortController().signal, find);

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
    await clean();
    const work = await createWorkDirectory(root, state);
    expect((await readdir(root)).sort()).toEqual([...others, work.path.slice(root.length + 1)].sort());
    await work[Symbol.asyncDispose]();
    expect((await readdir(root)).sort()).toEqual(others.sort());
  });

  it('stays when it was to be kept, also for later runs', async () => {
    const kept = await createWorkDirectory(root, state);
    await kept.keep();
    await kept[Symbol.asyncDispose]();
    expect(await readdir(root)).toHaveLength(1);
    await leave(`polyvisor-${dead}-aaaaaa`);
    await writeFile(join(root, `polyvisor-${dead}-aaaaaa`, '.polyvisor-keep'), '');
    await clean();
    const work = await createWorkDirectory(root, state);
    expect(await readdir(root)).toHaveLength(3);
    await work[Symbol.asyncDispose]();
  });

  /** A work directory of a dead run that says who made it. */
  async function leaveWork(provisioner: string, random: string, started = true): Promise<string> {
    const path = join(root, `polyvisor-${dead}-${random}`);
    await mkdir(path);
    await writeWorkState(path, { command: 'build', provisioner, subject: '/definitions/a/definition.yaml' });
    if (started) await mkdir(provisionDirectory(path));
    return path;
  }

  it('is discarded by the provisioner that made it, before anything of it is removed', async () => {
    const path = await leaveWork('one', 'aaaaaa');
    await leaveWork('one', 'bbbbbb', false);
    const discarded: string[] = [];
    const discard = async (given: string) => {
      expect(await readdir(path)).toContain('provision');
      discarded.push(given);
    };
    await clean((id) => ({ id, discard }) as unknown as Provisioner);
    expect(discarded).toEqual([join(path, 'provision')]);
    expect(await readdir(root)).toEqual([]);
  });

  it('stays as it is when that provisioner is not loaded or fails, and the reason is told', async () => {
    const absent = await leaveWork('absent', 'aaaaaa');
    const failing = await leaveWork('failing', 'bbbbbb');
    const discard = () => Promise.reject(new Error('the machine is locked'));
    await clean((id) => (id === 'failing' ? ({ id, discard } as unknown as Provisioner) : undefined));
    expect((await readdir(root)).sort()).toEqual([absent, failing].map((path) => path.slice(root.length + 1)));
    expect(messages).toEqual([
      `cannot remove what a killed run left behind: it was made by the provisioner absent, which no loaded plugin brings; ${absent} stays`,
      `cannot remove what a killed run left behind: the machine is locked; ${failing} stays`,
    ]);
    expect(await readdir(failing)).toContain('polyvisor-run.json');
  });

  it('of provisioners is left to others by who knows none', async () => {
    await leaveWork('one', 'aaaaaa');
    await leave(`polyvisor-${dead}-bbbbbb`);
    await cleanWorkRoot(root, silent, new AbortController().signal);
    expect(await readdir(root)).toEqual([`polyvisor-${dead}-aaaaaa`]);
    expect(messages).toHaveLength(1);
  });

  it('is reported when it cannot be removed', async () => {
    // What no rights suffice for, whoever runs this test.
    const path = '/proc/self/fdinfo';
    expect(await removeStale(path)).toContain(`remove ${path} by hand`);
    expect(await removeStale(path, () => Promise.reject(new Error('not now')))).toBe(`not now; ${path} stays`);
  });

  it('of every kind is found and removed, and nothing of the living', async () => {
    const path = await leaveWork('one', 'aaaaaa');
    await leaveWork('one', 'kkkkkk');
    await writeFile(join(root, `polyvisor-${dead}-kkkkkk`, '.polyvisor-keep'), '');
    await mkdir(join(root, 'logs', `a-1-x86_64-${dead}`), { recursive: true });
    await leave(`out.${dead}.part`, `old.${dead}.part.old`, `out.${alive}.part`);
    for (const name of [
      `disk.vhd.${dead}.part`,
      `disk.vhd.${alive}.part`,
      `polyvisor-${dead}-3.tmp`,
      `gone.img.${dead}.part.old`,
    ])
      await writeFile(join(root, name), 'x');
    const places = { workRoots: [root], outputFolders: [root], cacheDir: root };
    const found = await findLeftovers(places);
    expect(
      found.map(({ kind, path: each, kept }) => [kind, each.slice(root.length + 1).replace(dead, 'DEAD'), kept]).sort(),
    ).toEqual([
      ['aside', 'gone.img.DEAD.part.old', false],
      ['aside', 'old.DEAD.part.old', false],
      ['log', 'logs/a-1-x86_64-DEAD', false],
      ['output', 'disk.vhd.DEAD.part', false],
      ['output', 'out.DEAD.part', false],
      ['spool', 'polyvisor-DEAD-3.tmp', false],
      ['work', 'polyvisor-DEAD-aaaaaa', false],
      ['work', 'polyvisor-DEAD-kkkkkk', true],
    ]);
    expect(found.find((each) => each.path === path)?.state).toMatchObject({ provisioner: 'one', command: 'build' });
    const one = { id: 'one', discard: () => Promise.resolve() } as unknown as Provisioner;
    for (const leftover of found)
      expect(await removeLeftover(leftover, () => one, new AbortController().signal)).toBeUndefined();
    expect(await findLeftovers(places)).toEqual([]);
    expect((await readdir(root)).sort()).toEqual(
      ['disk.vhd.' + alive + '.part', 'gone.img', 'logs', 'old', `out.${alive}.part`].sort(),
    );
  });

  it('says nothing wrong about itself when its state is damaged', async () => {
    const path = await leaveWork('one', 'aaaaaa');
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"command":1}',
      `{"command":"build","subject":"${'x'.repeat(100_000)}"}`,
    ]) {
      await writeFile(join(path, 'polyvisor-run.json'), text);
      expect(await readWorkState(path)).toBeUndefined();
    }
  });

  it('of outputs is removed, and an output that was moved aside goes back', async () => {
    await leave(`out.${dead}.part`, `out.${dead}.part.old`, `out.${alive}.part.old`, `other.${dead}.part`);
    const output = await createOutputDirectory(join(root, 'fresh'), false);
    await output[Symbol.asyncDispose]();
    await expect(createOutputDirectory(join(root, 'out'), false)).rejects.toMatchObject({ code: 'output-exists' });
    expect((await readdir(root)).sort()).toEqual(['out', `out.${alive}.part.old`].sort());
  });
});
