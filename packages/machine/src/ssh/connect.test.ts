import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Event, GuestError } from '@polyvisor/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectFailure } from './attempt-failure.js';
import { createBuildKey } from './build-key.js';
import { type ConnectOptions, connectGuest, type FailedAttempt } from './connect.js';
import { createTestGuest, freePort, makeHostKey, PASSWORD, type TestGuest } from './servers.test-support.js';

const key = createBuildKey();
const cancelled = new Error('cancelled');

interface Listener extends AsyncDisposable {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
}

async function listen(behave: (socket: Socket) => void): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket)));
    behave(socket.resume());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const connectTo = (port: number, changes: Partial<ConnectOptions> = {}) =>
  connectGuest({
    endpoint: { host: '127.0.0.1', port },
    access: { user: 'root', port: 22, timeout: 1500, become: 'none' },
    key,
    timeout: 1500,
    signal: new AbortController().signal,
    ...changes,
  });

const failure = (connecting: Promise<unknown>) =>
  connecting.then(
    () => {
      throw new Error('it logged in');
    },
    (error: GuestError) => error,
  );

describe.concurrent('waiting for SSH', () => {
  it('counts what it saw when the time is over, and says each thing once', async () => {
    const events: Event[] = [];
    const attempts: FailedAttempt[] = [];
    const port = await freePort();
    const error = await failure(
      connectTo(port, { emit: (event) => events.push(event), onAttempt: (attempt) => attempts.push(attempt) }),
    );
    expect(error.code).toBe('ssh-timeout');
    expect(error.message).toMatch(
      /^no login by SSH at root@127\.0\.0\.1:\d+ within 1\.5 s; seen in 2 attempts: connection refused \(2 times, from 0 s to 1 s\)$/,
    );
    expect(error.hint).toContain('serial log');
    expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([
      [1, 'refused'],
      [2, 'refused'],
    ]);
    expect(events.filter(({ type }) => type === 'waiting')).toEqual([
      { type: 'waiting', stage: 'ssh', message: `SSH at root@127.0.0.1:${port}` },
      { type: 'waiting', stage: 'ssh', message: `SSH at root@127.0.0.1:${port}: connection refused` },
    ]);
  });

  it.each<[string, (socket: Socket) => void, RegExp]>([
    ['says nothing', () => undefined, /accepted but no SSH banner \(once/],
    ['closes at once', (socket) => socket.end(), /accepted but no SSH banner: closed the connection \(2 times/],
    ['breaks off', (socket) => socket.resetAndDestroy(), /accepted but no SSH banner: the connection was reset/],
    [
      'speaks HTTP',
      (socket) => socket.end('HTTP/1.1 400 Bad\x1b[31m Request\r\n\r\n'),
      /no SSH server: it said "HTTP\/1\.1 400 Bad \[31m Request" and closed the connection/,
    ],
    [
      'never stops',
      (socket) => socket.write('x'.repeat(100_000)),
      /no SSH server: it said "x{60}…" and more of the like/,
    ],
    [
      'has a banner alone',
      (socket) => socket.end('SSH-2.0-thing\r\n'),
      /banner "SSH-2\.0-thing" but key exchange failed/,
    ],
    [
      'has a banner and rubbish',
      (socket) => socket.end(`SSH-2.0-thing\r\n${'rubbish '.repeat(100)}`),
      /banner "SSH-2\.0-thing" but key exchange failed: \w+/,
    ],
    [
      'has a banner and silence',
      (socket) => socket.write('hello\r\nSSH-2.0-thing\r\n'),
      /banner "SSH-2\.0-thing", key exchange did not end/,
    ],
    ['speaks SSH 1', (socket) => socket.write('SSH-1.5-old\r\n'), /banner "SSH-1\.5-old" but key exchange failed/],
  ])('tells of a server that %s', async (_, behave, expected) => {
    await using listener = await listen(behave);
    const error = await failure(connectTo(listener.port));
    expect(error.code).toBe('ssh-timeout');
    expect(error.message).toMatch(expected);
  });

  it('knows what the errors of the network mean', () => {
    const outcome = (code: string) => connectFailure(Object.assign(new Error(code), { code })).outcome;
    expect(outcome('EHOSTUNREACH')).toBe('no-route');
    expect(outcome('ENETUNREACH')).toBe('no-route');
    expect(outcome('ETIMEDOUT')).toBe('timed-out');
    expect(outcome('ENOTFOUND')).toBe('unknown-host');
    expect(outcome('EMFILE')).toBe('broken-off');
  });

  it('ends at once when the machine stops, with its last words', async () => {
    await using listener = await listen(() => undefined);
    const started = performance.now();
    const error = await failure(
      connectTo(listener.port, {
        timeout: 60_000,
        stopped: () => Promise.resolve({ kind: 'died', words: 'out of memory' }),
      }),
    );
    expect(error.code).toBe('machine-stopped');
    expect(error.message).toBe('the hypervisor died while waiting for SSH: out of memory');
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('cancelling the wait for SSH', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['silence', () => undefined],
    ['the key exchange', (socket) => socket.write('SSH-2.0-thing\r\n')],
    ['the pause between attempts', (socket) => socket.end()],
  ])('ends at once when it is cancelled in %s, and leaves no connection', async (_, behave) => {
    await using listener = await listen(behave);
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(cancelled), 300);
    const started = performance.now();
    await expect(connectTo(listener.port, { timeout: 60_000, signal: cancel.signal })).rejects.toBe(cancelled);
    expect(performance.now() - started).toBeLessThan(1500);
    await expect.poll(() => listener.sockets.size).toBe(0);
  });

  it('does not begin when it was cancelled before', async () => {
    await expect(connectTo(1, { signal: AbortSignal.abort(cancelled) })).rejects.toBe(cancelled);
  });
});

describe('logging in', () => {
  let machine: TestGuest;
  beforeAll(async () => {
    machine = await createTestGuest({ server: 'openssh' });
  });
  afterAll(() => machine[Symbol.asyncDispose]());

  it('gives up on a server that goes on refusing, and says what was offered and what it allows', async () => {
    const error = await failure(
      machine.connect({ key, login: { password: 'wrong' }, refusals: 1000, timeout: 60_000 }),
    );
    expect(error.code).toBe('ssh-login-refused');
    expect(error.message).toMatch(
      /banner "SSH-2\.0-OpenSSH_\S+.*" but authentication failed: publickey \(this build's\), password offered, server allows publickey,? ?password/,
    );
    expect(error.message).not.toContain('wrong');
    expect(error.hint).toContain('password under `access`');
  });

  it('goes on while the server may still learn of the key', async () => {
    const late = createBuildKey();
    const seen: FailedAttempt[] = [];
    const connecting = machine.connect({
      key: late,
      onAttempt: (attempt) => {
        seen.push(attempt);
        void import('node:fs/promises').then(({ appendFile }) =>
          appendFile(`${machine.directory}/home/.ssh/authorized_keys`, `${late.publicKey}\n`),
        );
      },
    });
    await using guest = await connecting;
    expect(seen.map(({ outcome }) => outcome)).toEqual(['login-refused']);
    expect((await guest.exec('id -un')).stdout).toBe('root\n');
  });

  it('uses the password where the key is not known', async () => {
    await using guest = await machine.connect({ key, login: { user: 'tester', password: PASSWORD } });
    expect((await guest.exec('id -un')).stdout).toBe('tester\n');
  });

  it('waits for a server that is not there yet', async () => {
    await machine.stop();
    const seen: FailedAttempt[] = [];
    const connecting = machine.connect({ onAttempt: (attempt) => seen.push(attempt) });
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    await machine.start();
    await using guest = await connecting;
    expect(seen[0]?.outcome).toBe('refused');
    expect((await guest.exec('echo here')).stdout).toBe('here\n');
  });

  it('speaks to no other server under the same address', async () => {
    await using guest = await machine.connect();
    await machine.stop();
    await makeHostKey('openssh', machine.directory);
    await machine.start();
    // Nobody said that the guest would restart.
    await expect(guest.exec('true')).rejects.toMatchObject({ code: 'ssh-connection-lost' });
  });
});

describe('logging in by questions', () => {
  it('answers the one for the password', async () => {
    await using machine = await createTestGuest({
      server: 'openssh',
      configuration: ['KbdInteractiveAuthentication yes', 'PasswordAuthentication no', 'UsePAM yes'],
    });
    await using guest = await machine.connect({ key, login: { user: 'tester', password: PASSWORD } });
    expect((await guest.exec('id -un')).stdout).toBe('tester\n');
  });
});
