import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createTestContext } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { join } from 'node:path';
import { QemuProcess } from './qemu-process.js';

/** Speaks QMP on its pipes as QEMU does, and at `cont` does what its argument says. */
const FAKE_QEMU = `
const say = (message) => console.log(JSON.stringify(message));
let status = 'running';
const halt = (why) => { status = why; say({ event: 'STOP' }); };
say({ QMP: { version: {}, capabilities: [] } });
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { execute } = JSON.parse(line);
  say({ return: execute === 'query-status' ? { status } : {} });
  if (execute === 'cont') eval(process.argv[1]);
});
`;

describe('QemuProcess', () => {
  let workDir = '';
  beforeEach(async () => {
    workDir = await mkdtemp(join(tmpdir(), 'qemu-process-'));
  });
  afterEach(() => rm(workDir, { recursive: true, force: true }));

  async function running(then: string): Promise<QemuProcess> {
    const context = createTestContext();
    const start: typeof context.start = (_program, args, options) => {
      expect(args).toContain('-S');
      return context.start(process.execPath, ['-e', FAKE_QEMU, then], options);
    };
    const qemu = QemuProcess.launch({ ...context, start }, { program: 'qemu', args: [], workDir });
    expect(await qemu.ready()).toBe(true);
    await qemu.monitor.execute('cont');
    return qemu;
  }

  it('tells why the guest ended, with the last words', async () => {
    await using qemu = await running(
      "say({ event: 'SHUTDOWN', data: { guest: true, reason: 'guest-reset' } }); console.error('bye'); process.exit(0)",
    );
    expect(await qemu.exited).toEqual({ shutdown: 'guest-reset', status: 'exit code 0', words: 'bye' });
    expect(qemu.ended).toBe(true);
    expect(qemu.monitor.open).toBe(false);
  });

  it('tells that it was killed', async () => {
    await using qemu = await running("process.kill(process.pid, 'SIGKILL')");
    expect(await qemu.exited).toEqual({ shutdown: undefined, status: 'SIGKILL', words: '' });
  });

  it('keeps what is no message among its words', async () => {
    await using qemu = await running(
      "console.log('a library complains'); process.exitCode = 1; process.stdin.destroy()",
    );
    expect(await qemu.exited).toEqual({ shutdown: undefined, status: 'exit code 1', words: 'a library complains' });
  });

  it('tells which write failed when the guest was halted by it', async () => {
    const data = { 'node-name': 'disk', operation: 'write', action: 'stop', reason: 'No space left on device' };
    await using qemu = await running(
      `say({ event: 'BLOCK_IO_ERROR', data: ${JSON.stringify(data)} }); halt('io-error')`,
    );
    expect(await qemu.halted).toEqual({ status: 'io-error', words: 'write on disk: No space left on device' });
  });

  it('counts restarts, and not those that come from outside', async () => {
    await using qemu = await running(
      "say({ event: 'RESET', data: { guest: false } }); setTimeout(() => say({ event: 'RESET', data: { guest: true } }), 100)",
    );
    await new Promise<void>((resolve) => (qemu.onRestart = resolve));
    expect(qemu.restarts).toBe(1);
  });

  it('is not ready when it ends instead of starting', async () => {
    const context = createTestContext();
    const start: typeof context.start = (_program, _args, options) =>
      context.start(process.execPath, ['-e', "console.error('no such machine'); process.exit(1)"], options);
    const qemu = QemuProcess.launch({ ...context, start }, { program: 'qemu', args: [], workDir });
    expect(await qemu.ready()).toBe(false);
    expect(await qemu.exited).toMatchObject({ status: 'exit code 1', words: 'no such machine' });
  });
});
