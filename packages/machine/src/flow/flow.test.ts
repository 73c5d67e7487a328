import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Scenario, SIZE } from './scenario.test-support.js';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await Scenario.create();
});
afterEach(async () => {
  expect([...scenario.hypervisor.alive]).toEqual([]);
  await scenario[Symbol.asyncDispose]();
});

/** Stages of a system that was started from its disk. */
const SYSTEM = ['boot', 'first-boot', 'packages', 'customise', 'seal', 'shut-down'];

const start = async (disk: { read(into: Uint8Array, offset: number): Promise<void> }) => {
  const bytes = Buffer.alloc(256);
  await disk.read(bytes, 0);
  return bytes.toString('latin1').replace(/\0.*$/s, '');
};

describe('an installer', () => {
  it('is started by its kernel, takes its answers, and becomes a sealed disk', async () => {
    const made = await scenario.run(scenario.job(scenario.installer()), scenario.program());
    expect(made.disk.size).toBe(SIZE);
    expect(await start(made.disk)).toContain('installed with user ');
    expect(made.inventory).toMatchObject({ greeting: '1.2' });
    expect(await readFile(scenario.path('guest/etc/hostname'), 'utf8')).toBe('sample\n');
    // The build's key has let us in, and now it is gone.
    expect(existsSync(scenario.path('guest/root/.ssh'))).toBe(false);
    await made[Symbol.asyncDispose]();
    await made[Symbol.asyncDispose]();
    expect(scenario.stages()).toEqual(['install', 'keep', ...SYSTEM]);
    expect(await readFile(scenario.path('logs/serial.log'), 'utf8')).toContain('system starting');
    // The installer's machine had gone before the system's was made.
    expect(scenario.hypervisor.calls.filter((call) => /create|dispose|start/.test(call))).toEqual([
      'create',
      'start kernel',
      'dispose',
      'create',
      'start disk',
      'dispose',
    ]);
    expect(scenario.log()).toMatch(/the installer has 10 s, 5 s until it fetches its answers \(imagination\)/);
  });

  it('is started over the network and typed at, where there is no way to start its kernel', async () => {
    const source = scenario.installer({ typing: { wait: 1, command: ['go <%= hostname %> <enter>'], layout: 'us' } });
    const made = await scenario.run(
      scenario.job(source),
      scenario.program({
        install: async (guest) => {
          expect(guest.start).toMatchObject({ kind: 'network', bootFile: 'pxelinux.0' });
          await guest.typed('g o space s a m p l e space enter');
          const address = scenario.answersAddress();
          await guest.write(await guest.fetch(`${address}/answers.cfg`));
          guest.stop({ kind: 'restarted', words: '' });
        },
      }),
      { starts: ['disk', 'network'] },
    );
    await made[Symbol.asyncDispose]();
  });

  it('is started from its medium, and done when the system that it installed answers', async () => {
    await writeFile(scenario.path('installer.iso'), 'a medium');
    const source = scenario.installer({
      medium: { kind: 'iso', image: { locations: [scenario.path('installer.iso')], checksum: 'none' } },
      start: 'typed',
      typing: { wait: 1, command: ['<enter>'], layout: 'us' },
    });
    const made = await scenario.run(scenario.job(source), async (guest) => {
      expect(guest.spec.media).toMatchObject([{ kind: 'cdrom', path: scenario.path('installer.iso') }]);
      await guest.typed('enter');
      await guest.write(await guest.fetch(`${scenario.answersAddress()}/answers.cfg`));
      await scenario.boots(guest);
    });
    await made[Symbol.asyncDispose]();
    expect(scenario.hypervisor.specs).toHaveLength(1);
    expect(scenario.stages()).toEqual(['install', ...SYSTEM.slice(1)]);
  });

  it('gets its answers on a seed medium', async () => {
    const seed = { label: 'OEMDRV', filesystem: 'iso' as const, files: [scenario.answerFile()] };
    const source = scenario.installer({ kernelArguments: [], answers: { http: [], seed } });
    const made = await scenario.run(
      scenario.job(source),
      scenario.program({
        install: async (guest) => {
          const [medium] = guest.spec.media;
          expect(medium?.kind).toBe('cdrom');
          const key = /ssh-ed25519 \S+/.exec(await readFile(medium?.path ?? '', 'latin1'))?.[0];
          await guest.write(`installed with ${key}`);
          guest.stop({ kind: 'off', words: '' });
        },
      }),
    );
    await made[Symbol.asyncDispose]();
    expect(scenario.hypervisor.specs[1]?.media).toEqual([]);
  });

  it('has as much more time as the machine is slower, and the log says why', async () => {
    const made = await scenario.run(scenario.job(scenario.installer()), { program: scenario.program(), slowdown: 6 });
    await made[Symbol.asyncDispose]();
    expect(scenario.log()).toMatch(/time limits are 6 times as long, because of imagination \(nothing real: tests\)/);
    expect(scenario.log()).toMatch(/the installer has 1 min, 30 s until/);
    expect(scenario.log()).toMatch(/SSH has 1 min to answer/);
  });

  it.each([
    ['direct', { starts: ['disk'] as const }, /cannot start a kernel/],
    ['typed', {}, /needs a boot command/],
    ['auto', { starts: ['disk'] as const }, /neither a kernel .* nor a machine over the network/],
    ['auto', { starts: ['disk', 'network'] as const }, /needs a boot command for the menu/],
  ] as const)('is refused where it cannot be started (%s, %j)', async (how, capabilities, message) => {
    const failure = scenario.run(scenario.job(scenario.installer({ start: how })), scenario.program(), capabilities);
    await expect(failure).rejects.toMatchObject({
      code: 'source-unsupported',
      message: expect.stringMatching(message),
    });
    expect(await readdir(scenario.path('work'))).toEqual([]);
  });

  it('is told mistakes in its answers before anything is made', async () => {
    await writeFile(scenario.path('answers.cfg'), 'key <%= ssh-kye %>\n');
    await expect(scenario.run(scenario.job(scenario.installer()), scenario.program())).rejects.toMatchObject({
      code: 'template-invalid',
      issues: [{ file: scenario.path('answers.cfg'), message: expect.stringMatching(/ssh-key/) }],
    });
    expect(scenario.hypervisor.calls).toEqual([]);
    expect(scenario.failures).toHaveLength(1);
  });
});

describe('an existing disk', () => {
  it('is copied, grown, opened by the key that the firmware names, and never changed', async () => {
    const { source, path } = await scenario.existingDisk();
    const before = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    const made = await scenario.run(
      scenario.job(source, {}, { disk: { size: 2 * SIZE, partitions: [] } }),
      async (guest) => {
        expect(guest.start).toEqual({ kind: 'disk' });
        await scenario.boots(guest, async () => {
          await guest.button();
          await guest.write('changed');
        });
      },
    );
    expect(made.disk.size).toBe(2 * SIZE);
    expect(await start(made.disk)).toContain('changed');
    await made[Symbol.asyncDispose]();
    expect(
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ).toBe(before);
    expect(scenario.stages()).toEqual(['copy', ...SYSTEM]);
  });

  it('cannot be cut', async () => {
    const { source } = await scenario.existingDisk();
    const smaller = { disk: { size: SIZE / 2, partitions: [] } };
    await expect(scenario.run(scenario.job(source, {}, smaller), scenario.program())).rejects.toMatchObject({
      code: 'disk-too-small',
      message: expect.stringMatching(/2097152 bytes.* 4194304/),
    });
  });

  it('takes answers from a seed medium', async () => {
    const seed = {
      label: 'cidata',
      filesystem: 'fat' as const,
      files: [{ ...scenario.answerFile(), name: 'user-data' }],
    };
    const { source } = await scenario.existingDisk({ answers: { http: [], seed } });
    const made = await scenario.run(scenario.job(source), async (guest) => {
      expect(guest.spec.media).toMatchObject([{ kind: 'disk' }]);
      expect((await stat(guest.spec.media[0]?.path ?? '')).size).toBeGreaterThan(512);
      await scenario.boots(guest);
    });
    await made[Symbol.asyncDispose]();
  });
});

describe('switching off', () => {
  it('is done by the command where one is named', async () => {
    const { source } = await scenario.existingDisk({
      access: { ...scenario.access, shutdown: 'touch /root/off' },
    });
    const made = await scenario.run(scenario.job(source), (guest) =>
      scenario.boots(guest, () => scenario.appears('guest/root/off')),
    );
    await made[Symbol.asyncDispose]();
    expect(scenario.hypervisor.calls).not.toContain('power off button');
  });

  it('cuts the power of a guest that does not obey, and says so', async () => {
    const { source } = await scenario.existingDisk({ access: { ...scenario.access, timeout: 1_000_000 } });
    const made = await scenario.run(scenario.job(source), {
      program: (guest) => scenario.boots(guest, () => new Promise(() => undefined)),
      slowdown: 0.01, // two minutes of patience become a second
    });
    await made[Symbol.asyncDispose]();
    expect(scenario.hypervisor.calls).toContain('power off hard');
    expect(scenario.log()).toMatch(/warn: .*did not switch off within .*its power is cut/);
  });
});

it('keeps nothing but the disk', async () => {
  const made = await scenario.run(scenario.job(scenario.installer()), scenario.program());
  const state = JSON.parse(await readFile(scenario.path('work/state.json'), 'utf8')) as Record<string, unknown>;
  expect(state).toMatchObject({ provisioner: 'fake', machine: scenario.hypervisor.specs[1]?.name });
  await copyFile(scenario.path('work/disk.raw'), scenario.path('work/copy'));
  await made[Symbol.asyncDispose]();
});
