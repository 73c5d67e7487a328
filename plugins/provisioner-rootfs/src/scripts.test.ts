import { type Appliance, createLogger, type Event } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { sealNote } from './provisioner.js';
import type { Sandbox } from './sandbox.js';
import { runScripts } from './scripts.js';

/** A guest in which every script says the same. */
function guestThatSays(...lines: readonly string[]): Sandbox {
  return {
    shell: () => Promise.resolve({ exitCode: 0, stdout: '', stderr: '' }),
    chroot: (_: string, __: readonly string[], { onLine }: { onLine: (line: string) => void }) => {
      for (const line of lines) onLine(line);
      return Promise.resolve({ exitCode: 0, stdout: '', stderr: '' });
    },
  } as unknown as Sandbox;
}

it("keeps a script's output for the log, except its warnings", async () => {
  const events: Event[] = [];
  const emit = (event: Event) => void events.push(event);
  const scripts = [{ name: 'scripts/setup.sh', path: '/x', environment: {}, timeout: 1000 }];
  const appliance = { name: 'a', version: '1', architecture: 'x86_64', scripts } as unknown as Appliance;
  const sandbox = guestThatSays('Created symlink', 'Warning: nobody can log in');
  await runScripts(sandbox, appliance, createLogger(emit, 'rootfs'), emit);
  const scope = 'rootfs';
  expect(events.filter(({ type }) => type === 'log')).toEqual([
    { type: 'log', level: 'debug', scope, message: 'scripts/setup.sh: Created symlink' },
    { type: 'log', level: 'warn', scope, message: 'scripts/setup.sh: nobody can log in' },
  ]);
  expect(events[0]).toEqual({ type: 'waiting', stage: 'customise', message: 'scripts/setup.sh: Created symlink' });
});

it('sums up what the seal has reset', () => {
  expect(sealNote(['machine-id: /etc/machine-id', 'logs: /var/log/a', 'logs: /var/log/b'])).toBe(
    '3 things reset (machine-id, logs); the log lists them',
  );
  expect(sealNote([])).toBe('nothing had to be reset');
});
