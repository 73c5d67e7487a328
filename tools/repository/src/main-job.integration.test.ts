import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './repository.js';

/**
 * What the README promises, in small: one definition in, every format out, and what came out boots. Under software
 * emulation a guest takes up to a minute, on a busy machine several.
 */
const LIMIT = 15 * 60_000;

const execute = promisify(execFile);
const run = (command: string, ...args: readonly string[]) =>
  execute(command, [...args], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
  });
const polyvisor = (...args: readonly string[]) => run(process.execPath, 'packages/cli/bin/polyvisor.js', ...args);

interface Built {
  readonly artifacts: readonly {
    readonly path: string;
    readonly format: string;
    readonly size: number;
    readonly sha256: string;
  }[];
  readonly boots: readonly { readonly format: string; readonly firmware: string; readonly matched: string }[];
}

/** How qemu-img is to open an artefact; the OVA's disk is looked at where it lies in the archive. */
async function image(format: string, path: string): Promise<string> {
  const driver = { raw: 'raw', qcow2: 'qcow2', 'xen-vhd': 'vpc', 'hyperv-vhd': 'vpc' }[format];
  if (driver !== undefined) return `json:${JSON.stringify({ driver, file: { driver: 'file', filename: path } })}`;
  const { stdout } = await run('tar', '--list', '--verbose', '--block-number', '--file', path);
  const [, block = '', size = ''] = /^block (\d+): \S+ \S+ +(\d+) .*\.vmdk$/m.exec(stdout) ?? [];
  const window = {
    driver: 'raw',
    offset: (Number(block) + 1) * 512,
    size: Number(size),
    file: { driver: 'file', filename: path },
  };
  return `json:${JSON.stringify({ driver: 'vmdk', file: window })}`;
}

describe('the main job', () => {
  let directory = '';
  let output = '';
  let built: Built;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    output = join(directory, 'out');
    await run(
      process.execPath,
      'node_modules/typescript/bin/tsc',
      '-b',
      'packages/cli',
      'plugins/provisioner-rootfs',
      'plugins/booter-qemu',
    );
    const formats = ['raw', 'qcow2:compression=zlib', 'xen-vhd', 'hyperv-vhd', 'ova'].flatMap((format) => [
      '--to',
      format,
    ]);
    const places = ['--cache-dir', join(directory, 'cache'), '--work-dir', directory, '-o', output];
    const { stdout } = await polyvisor('--json', 'build', 'minimal', ...formats, ...places, '--verify');
    const last = stdout.trimEnd().split('\n').at(-1) ?? '';
    built = JSON.parse(last) as Built;
  }, LIMIT);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('makes every artefact, its checksums and its manifest, and nothing else', async () => {
    expect(built.artifacts.map(({ format }) => format)).toEqual(['raw', 'qcow2', 'xen-vhd', 'hyperv-vhd', 'ova']);
    expect((await readdir(output)).sort()).toEqual(
      [
        ...built.artifacts.map(({ path }) => path.slice(output.length + 1)),
        'SHA256SUMS',
        'build-report.json',
        'logs',
        'manifest.json',
      ].sort(),
    );
    await execute('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: output });
    expect(await readFile(join(output, 'logs', 'build.log'), 'utf8')).toContain('machine-id');
    expect((await readdir(directory)).sort()).toEqual(['cache', 'out']);
  });

  it('boots one artefact of each kind to its login prompt, under BIOS and under UEFI', () => {
    expect(built.boots.map(({ format }) => format)).toEqual(['qcow2', 'xen-vhd', 'ova']);
    expect(new Set(built.boots.map(({ firmware }) => firmware))).toEqual(new Set(['bios', 'uefi']));
    for (const { matched } of built.boots) expect(matched).toContain('minimal login:');
  });

  it('gives every hypervisor the same disk, says qemu-img', async () => {
    const [raw, ...others] = built.artifacts;
    for (const { format, path, size } of others) {
      expect(size).toBe(raw?.size);
      await run('qemu-img', 'compare', await image('raw', raw?.path ?? ''), await image(format, path));
      if (format === 'qcow2') await run('qemu-img', 'check', path);
    }
  }, 120_000);

  it('gives the same files again when the finished disk is converted', async () => {
    const raw = built.artifacts.find(({ format }) => format === 'raw');
    const again = join(directory, 'again');
    const { stdout } = await polyvisor(
      '--json',
      'convert',
      raw?.path ?? '',
      '--to',
      'qcow2:compression=zlib',
      '--to',
      'xen-vhd',
      '--to',
      'hyperv-vhd',
      '-o',
      `${again}/`,
    );
    const { artifacts } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Built;
    for (const { format, sha256 } of artifacts) {
      expect(sha256).toBe(built.artifacts.find((one) => one.format === format)?.sha256);
    }
    await rm(again, { recursive: true });
  }, 120_000);
});
