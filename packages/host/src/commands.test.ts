import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, type Event } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Commands } from './commands.js';
import { groupIsAlive, signalGroup } from './process-group.js';
import { Watchdog } from './watchdog.js';

let folder: string;
let events: Event[];
let commands: Commands;
const log = createLogger((event) => events.push(event), 'test');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-commands-'));
  events = [];
  commands = new Commands({ ...process.env, SECRET_OF_MINE: 'x', https_proxy: 'http://proxy' });
});

afterEach(async () => {
  await commands[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const shell = (script: string, options: Parameters<Commands['run']>[3] = {}) =>
  commands.run(log, 'sh', ['-c', script], options);

/** A script that starts grandchildren which ignore SIGTERM, and then waits; writes their numbers to `pids`. */
const stubborn = () =>
  `trap '' TERM; (trap '' TERM; sleep 300) & (sleep 301 & wait) & echo $$ $! > ${folder}/pids; wait`;

async function written(name: string): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => '');
    if (text.endsWith('\n')) return text;
    await sleep(20);
  }
  throw new Error(`${name} was not written`);
}

const firstPid = async () => Number((await written('pids')).split(' ')[0]);

async function eventually(check: () => boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 200 && !check(); attempt++) await sleep(20);
  return check();
}

describe('run', () => {
  it('gives what the command said, line by line and whole', async () => {
    const lines: string[] = [];
    const result = await shell('echo one; echo two >&2; printf three; exit 3', {
      acceptExitCodes: [0, 3],
      onLine: (line, stream) => lines.push(`${stream}: ${line}`),
    });
    expect(result).toEqual({ exitCode: 3, stdout: 'one\nthree', stderr: 'two\n' });
    expect(lines.sort()).toEqual(['stderr: two', 'stdout: one', 'stdout: three']);
    expect(events).toContainEqual({ type: 'log', level: 'debug', scope: 'test', message: 'two' });
    expect(events[0]).toMatchObject({ level: 'debug', message: expect.stringMatching(/^\$ sh -c '/) as string });
  });

  it('passes arguments as they are and input on stdin', async () => {
    const odd = `it's $HOME "quoted" \n*`;
    expect((await commands.run(log, 'printf', ['%s', odd])).stdout).toBe(odd);
    expect((await shell('cat', { input: 'given' })).stdout).toBe('given');
    expect((await shell('exit 0', { input: 'x'.repeat(1_000_000) })).exitCode).toBe(0);
  });

  it('gives a command few variables', async () => {
    const { stdout } = await shell('env', { env: { GIVEN: 'yes' } });
    const names = stdout.split('\n').map((line) => line.split('=')[0]);
    expect(stdout).toContain('LC_ALL=C.UTF-8');
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'GIVEN', 'https_proxy']));
    expect(names).not.toContain('SECRET_OF_MINE');
  });

  it('keeps the last MiB of endless output', async () => {
    const { stdout } = await shell('head -c 5000000 /dev/zero | tr "\\0" x; echo end');
    expect(stdout.length).toBe(1024 * 1024);
    expect(stdout.endsWith('xend\n')).toBe(true);
  });

  it('says which program is missing', async () => {
    await expect(commands.run(log, 'no-such-program', [])).rejects.toMatchObject({
      code: 'command-missing',
      message: expect.stringContaining('no-such-program') as string,
    });
    await writeFile(join(folder, 'not-executable'), '');
    await expect(commands.run(log, join(folder, 'not-executable'), [])).rejects.toMatchObject({
      code: 'command-missing',
    });
  });

  it('says how a command failed, in its own last words', async () => {
    await expect(shell('echo early; echo "the reason" >&2; exit 7')).rejects.toMatchObject({
      code: 'command-failed',
      message: 'sh ended with exit code 7:\nthe reason',
    });
    await expect(shell('kill -SEGV $$')).rejects.toMatchObject({
      code: 'command-failed',
      message: 'sh ended with SIGSEGV',
    });
    await expect(shell('true', { cwd: join(folder, 'gone') })).rejects.toMatchObject({ code: 'command-failed' });
  });

  it('ends a command that takes too long, with all it started', async () => {
    const started = performance.now();
    const running = shell(stubborn(), { timeout: 300 });
    const failed = expect(running).rejects.toMatchObject({ code: 'command-timeout' });
    const pid = await firstPid();
    await failed;
    expect(groupIsAlive(pid)).toBe(false);
    expect(performance.now() - started).toBeLessThan(8000);
  });

  it('ends a cancelled command with all it started, and rejects with the reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const failed = expect(shell(stubborn(), { signal: controller.signal })).rejects.toBe(reason);
    const pid = await firstPid();
    controller.abort(reason);
    await failed;
    expect(groupIsAlive(pid)).toBe(false);
    await expect(shell('true', { signal: controller.signal })).rejects.toBe(reason);
  });

  it('ends what a command left in the background', async () => {
    await shell(`sleep 300 & echo $$ > ${folder}/pids`);
    const pid = await firstPid();
    expect(await eventually(() => !groupIsAlive(pid))).toBe(true);
  });

  it('does not wait for a daemon that holds the pipes', async () => {
    const started = performance.now();
    const { stdout } = await shell(`setsid sleep 30 & echo $! > ${folder}/daemon; echo done`);
    expect(stdout).toBe('done\n');
    expect(performance.now() - started).toBeLessThan(5000);
    process.kill(Number(await written('daemon')), 'SIGKILL');
  });
});

describe('start', () => {
  it('talks to a command and stops it', async () => {
    const running = commands.start(log, 'cat', []);
    running.stdin.write('hello\n');
    const first = await new Promise((settle) => running.stdout.once('data', settle));
    expect(String(first)).toBe('hello\n');
    await running.stop();
    await running.stop();
    expect(await running.exited).toEqual({ exitCode: null, signal: 'SIGTERM' });
  });

  it('stops everything when it is disposed', async () => {
    commands.start(log, 'sh', ['-c', stubborn()]);
    const pid = await firstPid();
    expect(groupIsAlive(pid)).toBe(true);
    await commands[Symbol.asyncDispose]();
    expect(groupIsAlive(pid)).toBe(false);
  });

  it('lets nothing live on when the pipe to the watchdog closes, as it does when our process dies', async () => {
    const children = [1, 2].map(() => spawn('sh', ['-c', 'sleep 300 & wait'], { detached: true, stdio: 'ignore' }));
    const [kept, spared] = children.map(({ pid }) => pid ?? 0) as [number, number];
    const watchdog = new Watchdog();
    watchdog.start();
    watchdog.add(spared);
    watchdog.add(kept);
    watchdog.remove(spared);
    expect(groupIsAlive(kept)).toBe(true);
    watchdog.end();
    expect(await eventually(() => !groupIsAlive(kept))).toBe(true);
    expect(groupIsAlive(spared)).toBe(true);
    signalGroup(spared, 'SIGKILL');
  });
});
