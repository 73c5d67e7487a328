import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dataSize, EnvironmentError, expand, type PluginContext, type RunningCommand } from './index.js';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-expand-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Programs as the host runs them, without its groups. */
const programs: Pick<PluginContext, 'start'> = {
  start: (command, args) => {
    const child = spawn(command, args, { stdio: 'pipe' });
    child.stdin.on('error', () => undefined);
    const exited = new Promise<{ exitCode: number | null; signal: string | null }>((settle) =>
      child.once('exit', (exitCode, signal) => settle({ exitCode, signal })),
    );
    const { stdin, stdout, stderr, pid = 0 } = child;
    const stop = async () => {
      child.kill('SIGKILL');
      await exited;
    };
    return { pid, stdin, stdout, stderr, exited, stop } satisfies RunningCommand;
  },
};

const missing: Pick<PluginContext, 'start'> = {
  start: (command) => {
    throw new EnvironmentError('command-missing', `the program ${command} is not on PATH`);
  },
};

async function* parts(bytes: Uint8Array, length = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) {
    await Promise.resolve();
    yield bytes.subarray(at, at + length);
  }
}

const run = (bytes: Uint8Array, changes: Partial<Parameters<typeof expand>[1]> = {}, length?: number) =>
  expand(parts(bytes, length), {
    directory,
    path: 'disk.img.x',
    programs,
    signal: new AbortController().signal,
    ...changes,
  });

/** 3 MiB and a bit, zeros for the most part. */
const disk = Buffer.alloc(3 * 1024 * 1024 + 700);
disk.write('first', 0);
disk.write('middle', 1_500_000);
disk.write('last', disk.length - 4);

const squeezed: Readonly<Record<string, () => Buffer>> = {
  gzip: () => gzipSync(disk),
  'gzip of several members': () =>
    Buffer.concat([gzipSync(disk.subarray(0, 1_000_000)), gzipSync(disk.subarray(1_000_000))]),
  xz: () => spawnSync('xz', ['-c'], { input: disk }).stdout,
  bzip2: () => spawnSync('bzip2', ['-c'], { input: disk }).stdout,
  zstd: () => spawnSync('zstd', ['-qc'], { input: disk }).stdout,
  nothing: () => disk,
};

describe.each(Object.entries(squeezed))('%s', (name, squeeze) => {
  it('is expanded into a file that has holes and no name', async () => {
    const done: number[] = [];
    const bytes = squeeze();
    await using file = await run(bytes, { onProgress: (count) => done.push(count) });
    expect(await readdir(directory)).toEqual([]);
    const read = Buffer.alloc(file.size);
    await file.read(read, 0);
    expect(read.equals(disk)).toBe(true);
    expect(await dataSize(file)).toBeLessThan(100_000);
    expect(done.at(-1)).toBe(bytes.length);
  });

  it('has the size that is promised, or is refused', async () => {
    await using file = await run(squeeze(), { size: disk.length });
    expect(file.size).toBe(disk.length);
    for (const size of [disk.length - 1, disk.length + 1])
      await expect(run(squeeze(), { size })).rejects.toMatchObject({ code: 'expansion-size' });
  });

  if (name === 'nothing') return; // what is not compressed cannot be seen to be cut or damaged

  it('is refused when it ends too early', async () => {
    const bytes = squeeze();
    await expect(run(bytes.subarray(0, bytes.length - 5))).rejects.toMatchObject({ code: 'file-truncated' });
    await expect(run(bytes.subarray(0, bytes.length >> 1))).rejects.toMatchObject({ code: 'file-truncated' });
    expect(await readdir(directory)).toEqual([]);
  });

  it('is refused when it is damaged', async () => {
    const bytes = Buffer.from(squeeze());
    const middle = name === 'gzip' ? bytes.length - 6 : bytes.length >> 1;
    for (let at = middle; at < middle + 4; at++) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
    await expect(run(bytes)).rejects.toMatchObject({
      code: expect.stringMatching(/^(gzip-damaged|zstd-invalid|expansion-failed|file-truncated)$/) as string,
    });
  });
});

describe('gzip', () => {
  it.each([135, 100_000])('may be followed by zeros and by nothing else, in parts of %i bytes', async (length) => {
    const bytes = gzipSync(disk);
    await using file = await run(Buffer.concat([bytes, Buffer.alloc(5000)]), {}, length);
    expect(file.size).toBe(disk.length);
    for (const rest of [Buffer.from('garbage'), Buffer.concat([Buffer.alloc(3000), gzipSync(disk)])]) {
      await expect(run(Buffer.concat([bytes, rest]), {}, length)).rejects.toMatchObject({ code: 'gzip-damaged' });
    }
  });
});

it.each(['xz', 'bzip2'])('says which package has %s', async (kind) => {
  await expect(run((squeezed[kind] ?? (() => disk))(), { programs: missing })).rejects.toMatchObject({
    code: 'command-missing',
    hint: expect.stringMatching(/apt-get install (xz-utils|bzip2)$/) as string,
  });
});

it('refuses what is compressed twice', async () => {
  await expect(run(gzipSync(gzipSync(disk)))).rejects.toMatchObject({ code: 'compressed-twice' });
});

it('refuses a small file that would become a large one', async () => {
  // 24 levels of bzip2 would do the same in fewer bytes, and take minutes; the limits are what is tried here.
  const data = Buffer.alloc(40_000_000, 'x');
  const limits = {
    data: { flat: 1_000_000, ratio: 1, most: 2 ** 40 },
    total: { flat: 2 ** 40, ratio: 1, most: 2 ** 40 },
  };
  await expect(run(gzipSync(data), { limits })).rejects.toMatchObject({
    code: 'expansion-too-large',
    found: expect.stringContaining('MiB') as string,
  });
  const zeros = { data: limits.data, total: { flat: 1_000_000, ratio: 1, most: 2 ** 40 } };
  await expect(run(gzipSync(Buffer.alloc(40_000_000)), { limits: zeros })).rejects.toMatchObject({
    code: 'expansion-too-large',
  });
  await using file = await run(gzipSync(Buffer.alloc(9_000_000, 'y')));
  expect(file.size).toBe(9_000_000);
});

it('refuses an xz file whose dictionary takes gigabytes', async () => {
  const input = Buffer.alloc(100, 'text');
  const { stdout } = spawnSync('xz', ['-c', '--lzma2=dict=1GiB'], { input });
  expect(stdout.length).toBeGreaterThan(0);
  await expect(run(stdout)).rejects.toMatchObject({ code: 'expansion-memory' });
});

it('stops when it is told to', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = () => controller.abort(reason);
  for (const kind of ['gzip', 'xz'] as const) {
    await expect(run((squeezed[kind] ?? (() => disk))(), { signal: controller.signal, onProgress })).rejects.toThrow(
      'enough',
    );
  }
});
