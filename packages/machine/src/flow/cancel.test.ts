import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Scenario } from './scenario.test-support.js';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await Scenario.create();
});
afterEach(async () => {
  expect([...scenario.hypervisor.alive]).toEqual([]);
  await scenario[Symbol.asyncDispose]();
});

const forEver = () => new Promise<void>(() => undefined);

describe('cancelling', () => {
  const CALLS = ['create', 'start kernel', 'endpoint', 'start disk', 'power off button'];

  it.each(CALLS)('during %s of the machine', async (when) => {
    const cancel = new AbortController();
    const reason = new Error('cancelled');
    const made = scenario.run(scenario.job(scenario.installer(), { signal: cancel.signal }), {
      program: scenario.program(),
      before: (call) => {
        if (call === when) cancel.abort(reason);
      },
    });
    await expect(made).rejects.toBe(reason);
    expect(scenario.failures).toEqual([]); // nobody has to be asked
  });

  it.each([
    ['waiting for the answers to be fetched', /waiting up to .* for the guest to fetch/, 'kernel'],
    ['waiting for the end of the installation', /the end of the installation/, 'kernel'],
    ['waiting for SSH', /SSH at/, 'disk'],
    ['waiting for the guest to switch off', /the guest to switch off/, 'disk'],
  ] as const)('while %s', async (_what, message, kind) => {
    const cancel = new AbortController();
    const reason = new Error('cancelled');
    const job = scenario.job(scenario.installer(), { signal: cancel.signal });
    let at = 0;
    const made = scenario.run(
      {
        ...job,
        emit: (event) => {
          job.emit(event);
          if (event.type !== 'waiting' || !message.test(event.message)) return;
          at = performance.now();
          setTimeout(() => cancel.abort(reason), 50);
        },
      },
      scenario.program(
        kind === 'disk'
          ? { boot: (guest) => (message.source.startsWith('SSH') ? forEver() : scenario.boots(guest, forEver)) }
          : {
              install: async (guest) => {
                if (message.source.startsWith('the end')) await guest.fetch(`${scenario.answersAddress()}/answers.cfg`);
                await forEver();
              },
            },
      ),
    );
    await expect(made).rejects.toBe(reason);
    expect(performance.now() - at).toBeLessThan(2000);
  });

  it('while a script runs in the guest', async () => {
    const cancel = new AbortController();
    const reason = new Error('cancelled');
    const { source } = await scenario.existingDisk();
    const job = scenario.job(source, {
      signal: cancel.signal,
      seal: 'touch /root/started; sleep 60',
    });
    const made = scenario.run(job, (guest) =>
      scenario.boots(guest, async () => {
        await scenario.appears('guest/root/started');
        cancel.abort(reason);
        await forEver();
      }),
    );
    await expect(made).rejects.toBe(reason);
  });

  it('before anything', async () => {
    const reason = new Error('cancelled');
    const made = scenario.run(
      scenario.job(scenario.installer(), { signal: AbortSignal.abort(reason) }),
      scenario.program(),
    );
    await expect(made).rejects.toBe(reason);
    expect(await readdir(scenario.path('work'))).toEqual([]);
  });
});

describe('a failure of each call of the machine', () => {
  it.each(['create', 'start kernel', 'endpoint', 'start disk', 'power off button', 'dispose'])(
    'such as %s, ends the run with it and leaves nothing',
    async (when) => {
      const broken = new Error(`${when} fails`);
      let once = false;
      const made = scenario.run(scenario.job(scenario.installer()), {
        program: scenario.program(),
        before: (call) => {
          if (call !== when || once) return;
          once = true;
          throw broken;
        },
      });
      await expect(made).rejects.toBe(broken);
    },
  );
});
