import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Booter, type BootJob, defineConverter, type DiskConverter, rawDisk } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bootImage, type BootImageOptions } from './boot-image.js';

const unreadable: DiskConverter = defineConverter({
  id: 'fake',
  extension: '.fake',
  summary: 'a format that is only booted here',
  capabilities: { order: 'random', maxSize: 2 ** 30, sizeMultiple: 512, compression: [], hypervisors: [] },
  options: z.strictObject({}),
  detect: () => Promise.resolve('yes'),
  create: () => Promise.reject(new Error('nothing is written here')),
  open: (file) => Promise.resolve({ disk: rawDisk(file, file.size), facts: {} }),
});

const converter: DiskConverter = {
  ...unreadable,
  blockNode: ({ path }) => Promise.resolve({ driver: 'fake', file: { driver: 'file', filename: path } }),
};

describe('bootImage', () => {
  let root: string;
  let jobs: BootJob[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'boot-image-'));
    jobs = [];
    await writeFile(join(root, 'disk.fake'), Buffer.alloc(1024));
  });

  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  function optionsFor(
    change: Partial<BootImageOptions> = {},
    boot?: (job: BootJob) => Promise<void>,
  ): BootImageOptions {
    const booter: Booter = {
      id: 'fake-booter',
      summary: 'boots nothing',
      capabilities: { architectures: ['x86_64'], firmware: ['bios'], buses: ['virtio'] },
      probe: () => Promise.resolve({ usable: true, version: '1' }),
      boot: async (job) => {
        jobs.push(job);
        await writeFile(job.consoleLog, 'console');
        // A guest takes its time; its directory has to outlast it.
        await new Promise((resolve) => setTimeout(resolve, 20));
        await writeFile(join(job.workDir, 'overlay'), '');
        await boot?.(job);
        return { duration: 20, matched: 'login:', acceleration: 'none' };
      },
    };
    return {
      path: join(root, 'disk.fake'),
      converter,
      booter,
      architecture: 'x86_64',
      firmware: 'bios',
      cpus: 1,
      memory: 2 ** 26,
      workRoot: join(root, 'work'),
      consoleLog: join(root, 'logs', 'console.log'),
      emit: () => undefined,
      signal: new AbortController().signal,
      ...change,
    };
  }

  it('gives the booter a directory of its own until the boot has ended, and removes it then', async () => {
    expect(await bootImage(optionsFor())).toMatchObject({ matched: 'login:' });
    expect(jobs[0]).toMatchObject({
      node: { driver: 'fake', file: { filename: join(root, 'disk.fake') } },
      timeout: 180_000,
    });
    expect(await readdir(join(root, 'work'))).toEqual([]);
    expect(await readFile(join(root, 'logs', 'console.log'), 'utf8')).toBe('console');
  });

  it('removes it after a failure too, and keeps the console', async () => {
    await expect(bootImage(optionsFor({}, () => Promise.reject(new Error('it failed'))))).rejects.toThrow('it failed');
    expect(await readdir(join(root, 'work'))).toEqual([]);
    expect(await stat(join(root, 'logs', 'console.log'))).toBeDefined();
  });

  it('refuses what cannot be booted before it makes anything', async () => {
    await expect(bootImage(optionsFor({ converter: unreadable }))).rejects.toMatchObject({ code: 'not-bootable' });
    await expect(bootImage(optionsFor({ firmware: 'uefi' }))).rejects.toMatchObject({ code: 'firmware-missing' });
    await expect(bootImage(optionsFor({ path: join(root, 'absent') }))).rejects.toMatchObject({ code: 'file-missing' });
    const { booter } = optionsFor();
    const broken: Booter = {
      ...booter,
      probe: () => Promise.resolve({ usable: false, reason: 'no emulator', hint: 'install one' }),
    };
    await expect(bootImage(optionsFor({ booter: broken }))).rejects.toMatchObject({
      code: 'not-usable',
      hint: 'install one',
    });
    expect(await readdir(root)).toEqual(['disk.fake']);
  });
});
