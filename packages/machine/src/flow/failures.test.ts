import { readdir, readFile } from 'node:fs/promises';
import type { PolyvisorError, StopReason } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FakeGuest, GuestProgram } from './fake-hypervisor.test-support.js';
import { Scenario } from './scenario.test-support.js';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await Scenario.create();
});
afterEach(async () => {
  expect([...scenario.hypervisor.alive]).toEqual([]);
  await scenario[Symbol.asyncDispose]();
});

const died: StopReason = { kind: 'died', words: 'Aborted (core dumped)' };
const forEver = () => new Promise<void>(() => undefined);

/** A script that tells that it runs, and goes on. */
const endless = () => 'touch /root/started; sleep 60';

async function failure(made: Promise<unknown>): Promise<PolyvisorError> {
  const error = await made.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason as PolyvisorError,
  );
  expect(scenario.failures.map((each) => each.error)).toEqual([error]);
  return error as PolyvisorError;
}

async function expectDiagnosis(error: PolyvisorError, ...names: string[]): Promise<void> {
  const saved = await readdir(scenario.path('logs'));
  for (const name of names) {
    expect(saved).toContain(name);
    expect(error.hint).toContain(scenario.path('logs', name));
  }
}

describe('a hypervisor that dies', () => {
  const typed = { start: 'typed' as const, typing: { wait: 1, command: ['<wait60>'], layout: 'us' } };
  const cases: readonly (readonly [string, RegExp, () => [Parameters<Scenario['installer']>[0], GuestProgram]])[] = [
    [
      'while the boot command is typed',
      /while typing the boot command/,
      () => [typed, (guest) => guest.say('boot:').then(() => guest.stop(died))],
    ],
    [
      'while it starts',
      /while waiting for the installer to fetch its answers/,
      () => [{}, (guest) => guest.say('loading').then(() => guest.stop(died))],
    ],
    [
      'while it installs',
      /while waiting for the end of the installation/,
      () => [
        {},
        async (guest) => {
          await guest.fetch(`${scenario.answersAddress()}/answers.cfg`);
          await guest.say('unpacking');
          setTimeout(() => guest.stop(died), 100);
        },
      ],
    ],
    [
      'while the system starts',
      /while waiting for SSH/,
      () => [{}, scenario.program({ boot: (guest) => guest.say('starting').then(() => guest.stop(died)) })],
    ],
  ];

  it.each(cases)('%s', async (_when, message, make) => {
    const [source, program] = make();
    let diedAt = 0;
    const made = scenario.run(scenario.job(scenario.installer(source)), (guest) => {
      guest.signal.addEventListener('abort', () => (diedAt = performance.now()));
      return program(guest);
    });
    const error = await failure(made);
    expect(performance.now() - diedAt).toBeLessThan(2500);
    expect(error).toMatchObject({ code: 'hypervisor-died', message: expect.stringMatching(message) });
    expect(error.message).toContain('Aborted (core dumped)');
    await expectDiagnosis(error, 'serial.log', 'failure.txt');
  });

  it('while a script runs', async () => {
    const { source } = await scenario.existingDisk();
    const made = scenario.run(scenario.job(source, { seal: endless() }), (guest) =>
      scenario.boots(guest, async () => {
        await scenario.appears('guest/root/started');
        guest.stop(died);
      }),
    );
    const error = await failure(made);
    expect(error.code).toBe('hypervisor-died');
    expect(error.message).toMatch(/while setting the system up.*Aborted/);
    await expectDiagnosis(error, 'serial.log', 'screen.png');
    // Nobody can log in to what does not run.
    expect(scenario.failures[0]?.scene.login).toBeUndefined();
  });
});

describe('a guest that stops too early', () => {
  it.each([
    ['off', 'guest-off'],
    ['halted', 'machine-halted'],
    ['ended', 'machine-ended'],
  ] as const)('%s', async (kind, code) => {
    const { source } = await scenario.existingDisk();
    const made = scenario.run(scenario.job(source), async (guest) => guest.stop({ kind, words: 'no space left' }));
    const error = await failure(made);
    expect(error).toMatchObject({ code, message: expect.stringMatching(/while waiting for SSH.*no space left/) });
  });

  it('having installed nothing', async () => {
    const made = scenario.run(scenario.job(scenario.installer()), async (guest) => {
      await guest.fetch(`${scenario.answersAddress()}/answers.cfg`);
      guest.stop({ kind: 'off', words: '' });
    });
    expect(await failure(made)).toMatchObject({ code: 'install-left-nothing' });
  });

  it('without having fetched its answers', async () => {
    const made = scenario.run(scenario.job(scenario.installer()), async (guest) =>
      guest.stop({ kind: 'restarted', words: '' }),
    );
    const error = await failure(made);
    expect(error.code).toBe('guest-restarted');
    await expectDiagnosis(error, 'answers.log');
  });

  it('while its disk is full, in the middle of the installation', async () => {
    const made = scenario.run(scenario.job(scenario.installer()), async (guest) => {
      await guest.fetch(`${scenario.answersAddress()}/answers.cfg`);
      guest.stop({ kind: 'halted', words: 'No space left on device' });
    });
    const error = await failure(made);
    expect(error).toMatchObject({
      code: 'machine-halted',
      hint: expect.stringMatching(/disk of this computer is full/),
    });
  });
});

describe('an installer', () => {
  const limits = { fetch: 700, install: 1500 };

  it('that fetches nothing', async () => {
    const made = scenario.run(scenario.job(scenario.installer({ limits })), async (guest) => {
      await guest.say('no network');
      await fetch(`http://127.0.0.1:${new URL(scenario.answersAddress()).port}/answers.cfg`);
      await forEver();
    });
    const error = await failure(made);
    expect(error).toMatchObject({ code: 'answers-not-fetched' });
    await expectDiagnosis(error, 'serial.log', 'screen.png', 'answers.log', 'failure.txt');
    expect(await readFile(scenario.path('logs/answers.log'), 'utf8')).toMatch(/GET .*404/);
    expect(await readFile(scenario.path('logs/screen.png'), 'latin1')).toMatch(/^\x89PNG/);
    expect(await readFile(scenario.path('logs/failure.txt'), 'utf8')).toMatch(
      /while waiting for the installer to fetch its answers[^]*no network/,
    );
  });

  it('that stops at a question', async () => {
    const made = scenario.run(scenario.job(scenario.installer({ limits })), async (guest) => {
      await guest.fetch(`${scenario.answersAddress()}/answers.cfg`);
      await guest.say('Which disk is to be used?');
      await forEver();
    });
    const error = await failure(made);
    expect(error).toMatchObject({
      code: 'install-timeout',
      message: expect.stringMatching(/1.5 s.*screen has shown the same.*last line is "Which disk is to be used\?"/),
      hint: expect.stringMatching(/seems to wait for somebody/),
    });
    await expectDiagnosis(error, 'serial.log', 'screen.png', 'answers.log');
    const said = scenario.events.filter((event) => event.type === 'waiting' && event.stage === 'install');
    expect(said.length).toBeGreaterThan(1);
  });
});

describe('a system that started', () => {
  const startsWith = (ssh: (guest: FakeGuest) => Promise<unknown>) => async (guest: FakeGuest) => {
    await ssh(guest);
    await forEver();
  };

  it('does not answer', async () => {
    const { source } = await scenario.existingDisk({ access: { ...scenario.access, timeout: 800 } });
    const made = scenario.run(
      scenario.job(source),
      startsWith((guest) => guest.say('login:')),
    );
    const error = await failure(made);
    expect(error).toMatchObject({ code: 'ssh-timeout' });
    await expectDiagnosis(error, 'serial.log', 'screen.png');
  });

  it('does not take the password', async () => {
    const access = { ...scenario.access, password: 'wrong', timeout: 8000 };
    const { source } = await scenario.existingDisk({ access });
    const made = scenario.run(
      scenario.job(source),
      startsWith((guest) => guest.ssh({ root: scenario.path('guest'), password: 'right', keys: [] })),
    );
    const error = await failure(made);
    expect(error).toMatchObject({ code: 'ssh-login-refused' });
    expect(error.message + (error.hint ?? '')).not.toContain('wrong');
  });

  it('fails a script, and can still be looked at', async () => {
    const { source } = await scenario.existingDisk();
    let alive: boolean | undefined;
    const job = scenario.job(source, {
      seal: 'echo no good >&2; exit 7',
      onFailure: async (error, scene) => {
        scenario.failures.push({ error, scene });
        alive = scenario.hypervisor.alive.size === 1;
        await expect(readFile(scene.login?.[2] ?? '', 'utf8')).resolves.toMatch(/^-----BEGIN OPENSSH/);
      },
    });
    const error = await failure(scenario.run(job, (guest) => scenario.boots(guest)));
    expect(error.message).toMatch(/exit code 7/);
    expect(alive).toBe(true);
    const [seen] = scenario.failures;
    expect(seen?.scene.login?.slice(0, 2)).toEqual(['ssh', '-i']);
    expect(seen?.scene.login).toEqual(expect.arrayContaining(['-p', 'StrictHostKeyChecking=no']));
    expect(seen?.scene.login?.at(-1)).toBe(`${scenario.access.user}@127.0.0.1`);
    expect(seen?.scene.files).toContain(scenario.path('work/disk.raw'));
    await expectDiagnosis(error, 'serial.log', 'screen.png');
  });
});
