import { readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createIdentity, type InstallerSource, type ProvisionJob } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalDigest, resumeKey } from './resume-key.js';
import { fakeCapabilities } from './fake-hypervisor.test-support.js';
import { Scenario } from './scenario.test-support.js';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await Scenario.create();
});
afterEach(() => scenario[Symbol.asyncDispose]());

const build = async (changes: Partial<ProvisionJob> = {}) => {
  const made = await scenario.run(scenario.job(scenario.installer(), changes), scenario.program());
  await made[Symbol.asyncDispose]();
  return scenario.hypervisor.calls.includes('start kernel') ? 'installed' : 'resumed';
};

describe('--resume', () => {
  it('goes on from the disk that an equal run installed, with the key that is in it', async () => {
    expect(await build()).toBe('installed');
    expect(await build({ resume: true, identity: createIdentity('another') })).toBe('resumed');
    expect(scenario.log()).toMatch(/installed by an earlier run/);
  });

  it('is not done unasked', async () => {
    await build();
    expect(await build()).toBe('installed');
  });

  it('goes on after a failure behind the installation', async () => {
    await expect(build({ seal: 'exit 1' })).rejects.toThrow();
    expect(await build({ resume: true })).toBe('resumed');
  });

  it('installs anew when an answer changed', async () => {
    await build();
    await writeFile(scenario.path('answers.cfg'), 'another\nkey <%= ssh-key %>\n');
    expect(await build({ resume: true })).toBe('installed');
  });

  it('installs anew when the kept disk is damaged', async () => {
    await build();
    const [entry = ''] = await readdir(scenario.path('cache/installed'));
    await writeFile(scenario.path('cache/installed', entry, 'key.json'), '{');
    expect(await build({ resume: true })).toBe('installed');
    expect(scenario.log()).toMatch(/cannot be used, so it is made anew/);
  });

  it('keeps three disks, those used last, and no half of one; nobody else reads their keys', async () => {
    for (const name of ['a', 'b', 'c']) {
      await writeFile(scenario.path('answers.cfg'), `${name}\nkey <%= ssh-key %>\n`);
      await build();
    }
    const directory = scenario.path('cache/installed');
    const entries = await readdir(directory);
    expect(entries).toHaveLength(3);
    const [oldest = ''] = entries;
    await utimes(scenario.path('cache/installed', oldest), 1, 1);
    await writeFile(scenario.path('answers.cfg'), 'd\nkey <%= ssh-key %>\n');
    await build();
    expect(await readdir(directory)).toHaveLength(3);
    expect(await readdir(directory)).not.toContain(oldest);
    for (const entry of await readdir(directory)) {
      expect((await stat(scenario.path('cache/installed', entry))).mode & 0o777).toBe(0o700);
      expect((await stat(scenario.path('cache/installed', entry, 'key.json'))).mode & 0o777).toBe(0o600);
    }
  });

  it('does not fail a run because the disk cannot be kept', async () => {
    await rm(scenario.path('cache'), { recursive: true });
    await writeFile(scenario.path('cache'), 'a file where a directory should be');
    expect(await build()).toBe('installed');
    expect(scenario.log()).toMatch(/warn: .*is not kept/);
  });
});

describe('the name of an installed disk', () => {
  const run = (changes: Partial<ProvisionJob['appliance']> = {}) => ({
    id: 'fake',
    options: { chipset: 'old' } as unknown,
    capabilities: fakeCapabilities,
    firmware: 'bios' as 'bios' | 'uefi',
    job: scenario.job(scenario.installer(), {}, changes),
  });
  const name = (
    changes: Partial<InstallerSource> = {},
    other = run(),
    checksums: Record<string, string> = { a: '1', b: '2' },
  ) => resumeKey(other, scenario.installer(changes), 'network', checksums);

  it('is the same for equal inputs, whatever the order of their fields', async () => {
    expect(await name()).toMatch(/^[0-9a-f]{64}$/);
    expect(await name({}, run(), { b: '2', a: '1' })).toBe(await name());
    expect(canonicalDigest({ a: 1, b: { c: [1, 2], d: 2 } })).toBe(canonicalDigest({ b: { d: 2, c: [1, 2] }, a: 1 }));
    expect(canonicalDigest([1, 2])).not.toBe(canonicalDigest([2, 1]));
    const limits = { fetch: 1, install: 2 };
    expect(await name({ limits })).toBe(await name());
    expect(await name({ access: { ...scenario.access, timeout: 1 } })).toBe(await name());
  });

  it('is another one when any input changes', async () => {
    await writeFile(scenario.path('other.cfg'), 'something else');
    await writeFile(scenario.path('named.cfg'), '<%= hostname %> <%= version %>');
    const file = scenario.answerFile();
    const { access } = scenario;
    const typing = { wait: 1, command: ['a'], layout: 'us' };
    const named = { answers: { http: [{ ...file, from: scenario.path('named.cfg') }] } };
    const names = {
      nothing: await name(),
      checksum: await name({}, run(), { a: '1', b: '3' }),
      provisioner: await name({}, { ...run(), id: 'other' }),
      options: await name({}, { ...run(), options: { chipset: 'new' } }),
      diskFormat: await name({}, { ...run(), capabilities: { ...fakeCapabilities, diskFormat: 'vdi' } }),
      firmware: await name({}, { ...run(), firmware: 'uefi' }),
      memory: await name({}, run({ memory: 1 })),
      cpus: await name({}, run({ cpus: 7 })),
      architecture: await name({}, run({ architecture: 'arm64' })),
      guest: await name({}, run({ guest: 'other' })),
      size: await name({}, run({ disk: { size: 2 ** 30, partitions: [] } })),
      hostname: await name({}, run({ hostname: 'other' })),
      kernelArguments: await name({ kernelArguments: ['other'] }),
      command: await name({ typing }),
      layout: await name({ typing: { ...typing, layout: 'de' } }),
      answer: await name({ answers: { http: [{ ...file, from: scenario.path('other.cfg') }] } }),
      values: await name(named),
      version: await name(named, run({ version: '2' })),
      answerName: await name({ answers: { http: [{ ...file, name: 'other' }] } }),
      variables: await name({ answers: { http: [{ ...file, variables: { 'ssh-user': 'other' } }] } }),
      seed: await name({ answers: { http: [file], seed: { label: 'a', filesystem: 'iso', files: [file] } } }),
      label: await name({ answers: { http: [file], seed: { label: 'b', filesystem: 'iso', files: [file] } } }),
      filesystem: await name({ answers: { http: [file], seed: { label: 'a', filesystem: 'fat', files: [file] } } }),
      user: await name({ access: { ...access, user: 'other' } }),
      password: await name({ access: { ...access, password: 'x' } }),
      port: await name({ access: { ...access, port: 2222 } }),
      become: await name({ access: { ...access, become: 'su' } }),
    };
    const same = Object.entries(names).filter(([what, one]) =>
      Object.entries(names).some(([other, another]) => other !== what && one === another),
    );
    expect(same).toEqual([]);
  });
});
