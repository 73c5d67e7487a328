import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StopReason } from '../machine.js';
import type { Guest } from './guest.js';
import { pause } from './pause.js';
import { createTestGuest, processesWith, type TestGuest } from './servers.test-support.js';

/** A number of seconds that no other process sleeps. */
const token = () => String(100_000 + (randomBytes(4).readUInt32BE() % 900_000_000));

describe.each(['openssh', 'dropbear'] as const)('commands by %s', (server) => {
  let machine: TestGuest;
  let guest: Guest;
  beforeAll(async () => {
    // As many a person's shell does, this one talks.
    machine = await createTestGuest({ server, shell: '/bin/bash' });
    await writeFile(join(machine.directory, 'home', '.bashrc'), 'echo welcome; echo news >&2\n');
    guest = await machine.connect();
  });
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    await machine?.[Symbol.asyncDispose]();
  });

  it('get their arguments and give back their output and exit code, without what the login shell says', async () => {
    const words = ["a'b c", '$HOME "x" \\', '', 'two\nlines', 'ü'];
    const { stdout, stderr, exitCode } = await guest.exec('printf "<%s>" "$@"; echo oops >&2; exit 3', {
      arguments: words,
      acceptExitCodes: [3],
    });
    expect(stdout).toBe(words.map((word) => `<${word}>`).join(''));
    expect(stderr).toBe('oops\n');
    expect(exitCode).toBe(3);
  });

  it('get an environment with anything in it, which shows in no list of processes', async () => {
    const secret = `quote ' double " dollar $(date) back \\ slash\nnew line ${token()}`;
    const running = guest.exec('sleep 2; printf %s "$SECRET"', { environment: { SECRET: secret, EMPTY: '' } });
    await pause(700);
    expect(await processesWith(secret.slice(-9))).toEqual([]);
    expect((await running).stdout).toBe(secret);
    await expect(guest.exec('true', { environment: { 'a-b': '1' } })).rejects.toMatchObject({
      code: 'environment-invalid',
    });
  });

  it('have no terminal and no input, unless it is given', async () => {
    expect((await guest.exec('cat; tty || true')).stdout).toBe('not a tty\n');
    const input = randomBytes(300_000);
    const { stdout } = await guest.exec('sha256sum', { input });
    expect(stdout.slice(0, 64)).toBe(createHash('sha256').update(input).digest('hex'));
  });

  it('may end before they have read their input', async () => {
    const endless = async function* () {
      for (;;) yield Buffer.alloc(100_000);
    };
    expect((await guest.exec('head -c 10 >/dev/null', { input: endless() })).exitCode).toBe(0);
  });

  it('may print 10 MiB of anything: all of it passes by, a part is kept', async () => {
    const digest = createHash('sha256');
    let bytes = 0;
    const { stdout } = await guest.exec(
      'head -c 10485760 /dev/urandom | tee /run/out; sha256sum </run/out | cut -c 1-64 >&2; rm /run/out',
      {
        onBytes: (piece, stream) => {
          if (stream === 'stderr') return;
          bytes += piece.length;
          digest.update(piece);
        },
        onLine: (line, stream) => {
          if (stream === 'stderr') expect(line).toMatch(/^[0-9a-f]{64}$/);
        },
      },
    );
    expect(bytes).toBe(10 * 2 ** 20);
    expect(Buffer.byteLength(stdout)).toBeGreaterThan(2 ** 20 - 10);
    expect(stdout.length).toBeLessThanOrEqual(2 ** 20);
  });

  it('come in lines, without colours, the last state of progress bars, and never endless ones', async () => {
    const lines: string[] = [];
    await guest.exec(
      `printf 'one\\r\\n\\033[31mred\\033[0m\\n10%%\\r20%%\\r30%%\\n'; head -c 20000 /dev/zero | tr '\\0' x; echo; printf end`,
      { onLine: (line) => lines.push(line) },
    );
    expect(lines).toEqual(['one', 'red', '30%', `${'x'.repeat(4096)} […]`, 'end']);
  });

  it('say how they failed', async () => {
    await expect(guest.exec('echo first; echo last >&2; exit 7', { purpose: 'trying' })).rejects.toMatchObject({
      code: 'guest-command-failed',
      message: 'trying failed in the guest with exit code 7',
      transcript: expect.stringContaining('last') as string,
    });
    const { exitCode } = await guest.exec("sh -c 'kill -9 $$'", { acceptExitCodes: 'any' });
    expect(exitCode).toBe(137);
    await expect(guest.exec('kill -9 $$')).rejects.toMatchObject({ message: expect.stringContaining('137') as string });
    await expect(guest.exec('if; then', {})).rejects.toMatchObject({ code: 'guest-command-failed' });
  });

  it('do not last as long as what they leave running', async () => {
    const seconds = token();
    const started = performance.now();
    const { stdout } = await guest.exec(`sleep ${seconds} & echo done`);
    expect(stdout).toBe('done\n');
    expect(performance.now() - started).toBeLessThan(5000);
    expect(await processesWith(seconds)).toHaveLength(1);
    await guest.exec(`kill $(pgrep -f "^sleep ${seconds}")`);
  });

  it('are ended after their time, with all that they started, however far it went', async () => {
    const seconds = token();
    await expect(
      guest.exec(
        `sleep ${seconds} & setsid sh -c 'trap "" TERM HUP; (setsid sleep ${seconds}9 &) ; sleep ${seconds}8' & sleep ${seconds}7`,
        { timeout: 1500, purpose: 'sleeping' },
      ),
    ).rejects.toMatchObject({
      code: 'guest-command-timeout',
      message: 'sleeping took more than 1.5 s in the guest and was ended, with all that it had started',
    });
    expect(await processesWith(seconds)).toEqual([]);
    expect((await guest.exec('echo alive')).stdout).toBe('alive\n');
  });

  it('end at once when they are cancelled, and are gone when the guest is let go', async () => {
    const seconds = token();
    const cancel = new AbortController();
    const cancelled = new Error('cancelled');
    const own = await machine.connect();
    const running = own.exec(`setsid sleep ${seconds}`, { signal: cancel.signal });
    await expect.poll(() => processesWith(`sleep\0${seconds}`)).toHaveLength(1);
    const started = performance.now();
    cancel.abort(cancelled);
    await expect(running).rejects.toBe(cancelled);
    expect(performance.now() - started).toBeLessThan(300);
    await own[Symbol.asyncDispose]();
    await own[Symbol.asyncDispose]();
    expect(await processesWith(seconds)).toEqual([]);
    await expect(own.exec('true')).rejects.toMatchObject({ code: 'ssh-connection-lost' });
  });

  it('are ended when the guest is let go in their middle', async () => {
    const seconds = token();
    const own = await machine.connect();
    const running = own.exec(`sleep ${seconds}`);
    const failed = expect(running).rejects.toMatchObject({ code: 'ssh-connection-lost' });
    await expect.poll(() => processesWith(`sleep\0${seconds}`)).toHaveLength(1);
    await own[Symbol.asyncDispose]();
    await failed;
    expect(await processesWith(seconds)).toEqual([]);
  });

  it('may run side by side', async () => {
    const all = await Promise.all(
      [1, 2, 3, 4, 5].map((n) => guest.exec('sleep 0.2; echo "$1"', { arguments: [String(n)] })),
    );
    expect(all.map(({ stdout }) => stdout)).toEqual(['1\n', '2\n', '3\n', '4\n', '5\n']);
  });

  it('tell a broken connection from a machine that stopped', async () => {
    let stop: (reason: StopReason) => void = () => undefined;
    const stopped = new Promise<StopReason>((resolve) => (stop = resolve));
    await using one = await machine.connect();
    await using other = await machine.connect({ stopped: () => stopped });
    const lost = expect(one.exec('echo before; sleep 600', { purpose: 'sleeping' })).rejects.toMatchObject({
      code: 'ssh-connection-lost',
      message: expect.stringMatching(/^the connection to the guest broke while sleeping: /) as string,
      transcript: 'before',
    });
    const died = expect(other.exec('sleep 600', { purpose: 'sleeping' })).rejects.toMatchObject({
      code: 'machine-stopped',
      message: 'the machine cannot go on while sleeping: disk full',
    });
    await pause(1000);
    await machine.stop();
    // It is known a moment later than the connection breaks.
    await pause(300);
    stop({ kind: 'halted', words: 'disk full' });
    await Promise.all([lost, died]);
    await expect(other.exec('true')).rejects.toMatchObject({ code: 'machine-stopped' });
  });
});
