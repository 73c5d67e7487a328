import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode } from './exit-code.js';

/** What only a process of its own can show: signals, pipes, exit codes. Runs what is published, so it is built first. */
const BIN = fileURLToPath(new URL('../bin/polyvisor.js', import.meta.url));
const require = createRequire(import.meta.url);

beforeAll(() => {
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
  const project = fileURLToPath(new URL('../tsconfig.lib.json', import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-b', project], { encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
}, 300_000);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-process-'));
  await mkdir(join(folder, 'slow'));
  await writeFile(
    join(folder, 'slow/package.json'),
    JSON.stringify({ name: 'slow', type: 'module', exports: './index.js' }),
  );
  await writeFile(join(folder, 'slow/index.js'), SLOW);
  await writeFile(join(folder, 'disk.img'), Buffer.alloc(40 * 1024 * 1024, 'data'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** A format whose writer takes seconds and has started a tree of programs that does not care about SIGTERM. */
const SLOW = `
  import { z } from '${pathToFileURL(require.resolve('zod')).href}';
  const sleep = (time) => new Promise((done) => setTimeout(done, time));
  export default {
    api: 1, name: 'slow', booters: [],
    provisioners: [() => ({
      id: 'clumsy', summary: 'Falls over', options: z.strictObject({ guest: z.boolean().optional() }),
      capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], sources: ['packages'] },
      probe: async () => ({ usable: true, version: '1' }), estimate: async () => 1,
      provision: async ({ onFailure, options }) => {
        const error = new Error('it fell over');
        const login = ['sh', '-c', 'echo in the guest; read word; echo "heard $word"'];
        if (options.guest) await onFailure?.(error, { login, files: [] });
        throw error;
      },
    })],
    converters: [(context) => ({
      id: 'slow', extension: '.slow', summary: 'Takes its time', options: z.strictObject({ stuck: z.boolean().optional(), loose: z.boolean().optional() }),
      capabilities: { order: 'random', maxSize: 2 ** 40, sizeMultiple: 512, compression: [], hypervisors: [] },
      detect: async () => 'no', open: async () => { throw new Error('never read'); },
      create: async ({ size, sink, options }) => {
        if (options.loose) setTimeout(() => { throw new Error('nobody caught this'); }, 1000);
        context.start('sh', ['-c', "trap '' TERM; (trap '' TERM; sleep 300 & wait) & echo $$ > pids; wait"]);
        return {
          size,
          write: async ({ offset, bytes }) => { await sink.write(bytes, offset); await sleep(500); },
          finish: async () => { await sink.end(size); },
          abort: async () => { if (options.stuck) await new Promise(() => {}); },
        };
      },
    })],
  };`;

interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
}

function start(...args: string[]): Running {
  const child = spawn(process.execPath, [BIN, '--plugin', './slow', ...args], { cwd: folder });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (output.stdout += String(text)));
  child.stderr.on('data', (text) => (output.stderr += String(text)));
  return { child, output, ended: new Promise((end) => child.once('close', (code, signal) => end({ code, signal }))) };
}

/** Starts a conversion and waits until it is in the middle of it. */
async function converting(to = 'slow'): Promise<Running & { group: number }> {
  const running = start('convert', 'disk.img', '--to', 'raw', '--to', to, '-o', 'out');
  const group = Number(await eventually(() => readFile(join(folder, 'pids'), 'utf8').catch(() => '')));
  expect(isAlive(group)).toBe(true);
  // Outputs are made before their writers are; a writer that has written is in the middle of it.
  await eventually(async () => {
    const names = (await outputs()).filter((name) => name.includes('.slow.'));
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, 'out', name))).size));
    return sizes.some((size) => size > 0);
  });
  return { ...running, group };
}

const outputs = () => readdir(join(folder, 'out')).catch(() => []);

async function eventually<T>(get: () => T | Promise<T>): Promise<T> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    const value = await get();
    if (value) return value;
    await sleep(25);
  }
  throw new Error('it never came true');
}

/** Whether a process of the group runs; one that has ended and that nobody waits for does not count. */
function isAlive(group: number): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      const stat = readFileSync(`/proc/${Number(pid)}/stat`, 'utf8');
      const [state, , member] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(member) === group && state !== 'Z';
    } catch {
      return false;
    }
  });
}

describe('a signal', () => {
  it.each([
    ['SIGINT', ExitCode.interrupted],
    ['SIGTERM', ExitCode.terminated],
    ['SIGHUP', ExitCode.terminated],
  ] as const)('%s ends the run, which leaves nothing behind', async (signal, code) => {
    const { child, ended, output, group } = await converting();
    child.kill(signal);
    expect(await ended).toEqual({ code, signal: null });
    expect(output.stderr).toContain(`${signal}: stopping and cleaning up`);
    expect(output.stdout).toBe('');
    expect(await outputs()).toEqual([]);
    expect(isAlive(group)).toBe(false);
  });

  it('given twice ends the process at once, and with it what it started', async () => {
    const { child, ended, group, output } = await converting('slow:stuck=true');
    child.kill('SIGINT');
    await eventually(() => output.stderr.includes('once more'));
    child.kill('SIGINT'); // npm's echo of the first
    await sleep(600);
    expect(child.exitCode).toBe(null);
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: ExitCode.interrupted, signal: null });
    await eventually(() => !isAlive(group));
  });

  it('that cannot be caught leaves no process, and the next run removes the files', async () => {
    const { child, ended, group } = await converting();
    child.kill('SIGKILL');
    expect(await ended).toEqual({ code: null, signal: 'SIGKILL' });
    await eventually(() => !isAlive(group));
    expect((await outputs()).every((name) => name.endsWith('.part'))).toBe(true);
    const next = start('convert', 'disk.img', '--to', 'raw', '-o', 'out/');
    expect((await next.ended).code).toBe(0);
    expect((await outputs()).filter((name) => name.startsWith('disk-raw'))).toEqual(['disk-raw.img']);
  });
});

it('a bug that nobody catches is cleaned up after, and reported', async () => {
  const { ended, output, group } = await converting('slow:loose=true');
  expect((await ended).code).toBe(ExitCode.bug);
  expect(output.stderr).toMatch(/index\.js:\d+.*\n(.*\n)*error: nobody caught this\nhint: this is a bug/);
  expect(await outputs()).toEqual([]);
  expect(isAlive(group)).toBe(false);
});

describe('the output', () => {
  it('may lose its reader without a word', async () => {
    const { child, ended, output } = start('plugins');
    child.stdout?.destroy();
    expect([0, ExitCode.outputClosed]).toContain((await ended).code);
    expect(output.stderr).toBe('');
  });

  it('ends the run when its reader goes away in the middle', async () => {
    const running = start('convert', 'disk.img', '--to', 'slow', '-o', 'out', '--json');
    await eventually(() => running.output.stdout.includes('progress'));
    running.child.stdout?.destroy();
    expect((await running.ended).code).toBe(ExitCode.outputClosed);
    expect(running.output.stderr).toBe('');
    expect(await outputs()).toEqual([]);
  });

  it('is whole when it goes into a pipe', () => {
    const { stdout, status } = spawnSync(process.execPath, [BIN, 'plugins', '--json'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ type: 'result', command: 'plugins' });
  });
});

describe('--on-error', () => {
  const DEFINITION = "name: a\nversion: '1'\ndisk: { size: 64M }\nsource: { packages: { suite: bookworm } }\n";

  /** A build at a terminal that fails, with one text typed after each text that is seen. */
  async function talk(options: string, ...lines: readonly (readonly [seen: string, typed: string])[]): Promise<string> {
    await writeFile(join(folder, 'definition.yaml'), DEFINITION);
    const build = `build ./definition.yaml --to raw --boot-check none --work-dir work ${options}`;
    const command = `stty cols 200 rows 50; exec ${process.execPath} ${BIN} --plugin ./slow ${build}`;
    const env = { PATH: process.env['PATH'], HOME: folder };
    // `script` makes the terminal.
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder, env });
    let output = '';
    child.stdout.on('data', (text) => (output += String(text)));
    const ended = new Promise((end) => child.once('close', end));
    let from = 0;
    for (const [seen, typed] of lines) {
      await eventually(() => output.indexOf(seen, from) >= 0);
      from = output.indexOf(seen, from) + seen.length;
      child.stdin.write(typed);
    }
    expect(await ended).toBe(ExitCode.bug);
    return output;
  }

  it('shell is one in the guest, and what was made is removed afterwards', async () => {
    const output = await talk('--provisioner clumsy:guest=true --on-error shell', ['in the guest', 'hello\r']);
    expect(output).toMatch(/heard hello[^]*it fell over/);
    expect(await readdir(join(folder, 'work'))).toEqual([]);
  });

  it('ask offers a shell while there is a guest, and asks again', async () => {
    const output = await talk(
      '--provisioner clumsy:guest=true --on-error ask',
      ['[C/k/s]', 's\r'],
      ['in the guest', 'hello\r'],
      ['[C/k/s]', 'k\r'],
    );
    expect(output).toContain('heard hello');
    expect(output).toContain('clean --kept');
    expect(await readdir(join(folder, 'work'))).toHaveLength(1);
  });

  it.each([
    ['y\r', 1],
    ['\r', 0],
    ['\u0004', 0], // the end of the input
  ])('ask answered with %j keeps %i directories', async (keys, kept) => {
    const seen = await talk('--provisioner clumsy --on-error ask', ['[y/N]', keys]);
    expect(seen).toContain('it fell over');
    expect(await readdir(join(folder, 'work'))).toHaveLength(kept);
  });
});

it('says what is missing where there are no tools', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [BIN, 'doctor'], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: join(folder, 'empty') },
  });
  expect(stdout).toMatch(/missing +provisioner rootfs/);
  expect(stdout).toMatch(/apt-get install .*mmdebstrap/);
  expect(stderr).toContain('no appliance can be built');
  expect(status).toBe(ExitCode.environment);
});
