import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PluginContext } from '@polyvisor/core';
import { createTestContext } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Machine } from './machine.js';

/** Speaks QMP as QEMU does, and then says that it stopped the guest with the status in its argument. */
const FAKE_QEMU = `
const [, status, log] = process.argv;
const say = (message) => console.log(JSON.stringify(message));
say({ QMP: { version: {}, capabilities: [] } });
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { execute } = JSON.parse(line);
  say({ return: execute === 'query-status' ? { status, running: false } : {} });
  if (execute === 'cont') say({ event: 'STOP', timestamp: {} });
});
console.error('KVM internal error. Suberror: 1');
setTimeout(() => require('node:fs').appendFileSync(log, 'guest login:\\n'), 500);
`;

describe('Machine', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'machine-'));
  });

  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  async function start(status: string): Promise<Machine> {
    const context = createTestContext();
    const files = { workDir: root, consoleLog: join(root, 'console.log') };
    const fake: PluginContext = {
      ...context,
      start: (_command, _args, options) =>
        context.start(process.execPath, ['-e', FAKE_QEMU, status, files.consoleLog], options),
    };
    return Machine.start(fake, [], files, new AbortController().signal);
  }

  it.each(['internal-error', 'io-error'])('does not wait for a guest that QEMU has given up on: %s', async (status) => {
    await using machine = await start(status);
    expect(await machine.outcome(/login:/, 10_000, new AbortController().signal)).toEqual({
      kind: 'halted',
      status,
      words: 'KVM internal error. Suberror: 1',
    });
  });

  it('waits for one that is only paused', async () => {
    await using machine = await start('paused');
    expect(await machine.outcome(/login:/, 10_000, new AbortController().signal)).toEqual({
      kind: 'matched',
      line: 'guest login:',
    });
  });
});
