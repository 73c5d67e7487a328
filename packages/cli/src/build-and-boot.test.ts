import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { ownerTag } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode } from './exit-code.js';
import type { Output } from './io.js';
import { run } from './run.js';

/** A provisioner that makes a small disk in no time, and a booter that says what it was told. */
const PLUGIN = `
  import { z } from '${pathToFileURL(createRequire(import.meta.url).resolve('zod')).href}';
  const KIND = Symbol.for('polyvisor.error');
  export default {
    api: 1, name: 'quick', converters: [],
    provisioners: [(context) => ({
      id: 'quick', summary: 'Makes small disks', options: z.strictObject({ fill: z.string().default('disk') }),
      capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], sources: ['packages', 'disk'] },
      probe: async () => ({ usable: true, version: '1' }),
      estimate: async () => 1 << 20,
      discard: async (workDir) => {
        const { readFile, rm, stat } = await import('node:fs/promises');
        await stat(workDir); // it is called before anything is removed
        await rm(await readFile(workDir + '/machine', 'utf8'));
      },
      provision: async ({ appliance, options, resume, images }) => {
        if (resume) context.log.warn('going on from before');
        if (appliance.source.kind === 'disk') {
          const disk = await images.open(appliance.source.image.locations[0], appliance.source.format);
          return { inventory: {}, disk, [Symbol.asyncDispose]: () => disk[Symbol.asyncDispose]() };
        }
        context.log.info('the password is ' + appliance.secrets.join(' and '));
        context.log.warn('nobody can log in');
        const content = Buffer.alloc(1 << 20, options.fill ?? 'disk');
        return {
          inventory: { quick: '1' },
          disk: {
            size: appliance.disk.size,
            async *extents() { yield { offset: 0, length: content.length }; },
            read: async (into, offset) => { into.fill(0); if (offset < content.length) content.copy(into, 0, offset); },
            [Symbol.asyncDispose]: async () => {},
          },
          [Symbol.asyncDispose]: async () => {},
        };
      },
    })],
    booters: [(context) => ({
      id: 'stand', summary: 'Boots nothing',
      capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], buses: ['virtio'] },
      probe: async () => ({ usable: true, version: '1' }),
      boot: async ({ node, firmware, expect, memory, consoleLog }) => {
        const { writeFile } = await import('node:fs/promises');
        await writeFile(consoleLog, 'what the console said');
        if (expect.source === 'never') {
          throw Object.assign(new Error('it did not boot'), { [KIND]: 'guest', code: 'boot-timeout', hint: 'look at the log', transcript: 'grub>\\nrescue' });
        }
        return { duration: 1500, matched: JSON.stringify({ driver: node.driver, firmware, memory }), acceleration: 'none' };
      },
    })],
  };`;

const DEFINITION = `
name: quick
version: '2.0'
disk: { size: 64M }
source: { packages: { suite: bookworm } }
provisioner: { id: quick, fill: 'from the definition ' }
targets: [raw, { format: qcow2, compression: zlib }]
variables:
  password: { secret: true, default: hunter2 }
users: [{ name: admin, password: '\${password}' }]
`;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-build-'));
  await mkdir(join(folder, 'definitions/quick'), { recursive: true });
  await writeFile(join(folder, 'definitions/quick/definition.yaml'), DEFINITION);
  await mkdir(join(folder, 'plugin'));
  await writeFile(
    join(folder, 'plugin/package.json'),
    '{"name":"quick-plugin","type":"module","exports":"./index.js"}',
  );
  await writeFile(join(folder, 'plugin/index.js'), PLUGIN);
  await writeFile(join(folder, 'polyvisor.yaml'), 'plugins: [./plugin]\n');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function capture(): { stream: Output; text: () => string } {
  let text = '';
  const stream = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk);
      done();
    },
  });
  return { stream, text: () => text };
}

async function polyvisor(...args: string[]) {
  const stdout = capture();
  const stderr = capture();
  const env = { PATH: process.env['PATH'], POLYVISOR_CACHE: join(folder, 'cache'), TMPDIR: join(folder, 'tmp') };
  const signal = new AbortController().signal;
  const code = await run(args, { stdout: stdout.stream, stderr: stderr.stream, cwd: folder, env, signal });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

const result = (stdout: string) => JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;

describe('build', () => {
  it('makes what the definition asks for, tries it out, and ends with a table', async () => {
    const { code, stdout, stderr } = await polyvisor('build', 'quick');
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);
    const made = join(folder, 'artifacts/quick-2.0-x86_64');
    expect(await readdir(made)).toEqual(
      expect.arrayContaining([
        'manifest.json',
        'quick-2.0-x86_64-qcow2.qcow2',
        'quick-2.0-x86_64-raw.img',
        'SHA256SUMS',
      ]),
    );
    expect(stdout).toMatch(
      /^FORMAT.*SHA-256 +PATH\nraw +64\.0 MiB +64\.0 MiB .*artifacts\/quick-2\.0-x86_64\/quick-2\.0-x86_64-raw\.img\nqcow2 /,
    );
    expect(stdout).toMatch(/booted qcow2 under BIOS in 1\.5 s\n/);
    expect(stdout).toMatch(/all of it in artifacts\/quick-2\.0-x86_64\n\nwarning: nobody can log in\n$/);
    expect(await readFile(join(made, 'quick-2.0-x86_64-raw.img'), 'utf8')).toMatch(/^from the definition /);
    const manifest = await readFile(join(made, 'manifest.json'), 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({});
    expect(manifest).toContain('zlib');
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
  });

  it('hides secrets in everything that it shows and keeps', async () => {
    const { stdout, stderr } = await polyvisor('build', 'quick', '--var', 'password=correct horse', '--json', '-v');
    expect(stdout).toContain('the password is ***');
    for (const text of [stdout, stderr]) expect(text).not.toContain('correct horse');
    const made = join(folder, 'artifacts/quick-2.0-x86_64');
    for (const name of await readdir(made, { recursive: true })) {
      if (!/\.(json|log)$/.test(name)) continue;
      expect(await readFile(join(made, name), 'utf8')).not.toContain('correct horse');
    }
  });

  it('prefers what the command line says, and takes options of the definition for bare names', async () => {
    const args = ['--to', 'qcow2', '--provisioner', 'quick:fill=other', '-o', 'out', '--boot-check', 'none', '--json'];
    const { code, stdout } = await polyvisor('build', 'quick', ...args);
    expect(code).toBe(0);
    expect(result(stdout)).toMatchObject({
      type: 'result',
      boots: [],
      directory: join(folder, 'out'),
      artifacts: [{ format: 'qcow2' }],
    });
    const manifest = await readFile(join(folder, 'out/manifest.json'), 'utf8');
    expect(manifest).toContain('zlib');
    expect(manifest).toContain('"polyvisor"');
    expect(manifest).toContain('other');
  });

  it('exports every format that is loaded when nobody names one', async () => {
    const path = join(folder, 'definitions/quick/definition.yaml');
    await writeFile(path, DEFINITION.replace(/targets:.*\n/, ''));
    const { code, stdout } = await polyvisor('build', 'quick', '--boot-check', 'none', '--json');
    expect(code).toBe(0);
    const { artifacts } = result(stdout) as { artifacts: { format: string }[] };
    const loaded = result((await polyvisor('plugins', '--json')).stdout) as {
      plugins: { converters: { id: string }[] }[];
    };
    expect(artifacts.map(({ format }) => format)).toEqual(
      loaded.plugins.flatMap(({ converters }) => converters.map(({ id }) => id)),
    );
  });

  it.each([
    [['build', 'quik'], 2, 'quick'],
    [['build', 'quick', '--to', 'qcow'], 2, 'did you mean qcow2?'],
    [['build', 'quick', '--provisioner', 'quick:size=1'], 2, 'known options: fill'],
    [['build', 'quick', '--provisioner', 'a,b'], 2, 'names several'],
    [['build', 'quick', '--var', 'nonsense'], 2, 'name=value'],
    [['build', 'quick', '--booter', 'stad'], 2, 'did you mean stand?'],
    [['build', 'quick', '--on-error', 'ask'], 2, 'needs a terminal'],
    [['build', 'quick', '--on-error', 'shell'], 2, 'needs a terminal'],
    [['build', 'quick', '--on-error', 'panic'], 2, 'cleanup, keep, ask, shell'],
  ])('%j', async (args, code, text) => {
    const ran = await polyvisor(...args);
    expect(ran.stderr).toContain(text);
    expect(ran.code).toBe(code);
    expect(await readdir(folder)).not.toContain('artifacts');
  });
});

describe('build from a disk that exists', () => {
  const customised = (format = '') =>
    DEFINITION.replace(
      /source:.*\n/,
      `source: [{ installer: { medium: { iso: { from: '', checksum: '' } }, boot-command: [] } }, { disk: { image: { from: '\${image}', checksum: none }${format} } }]\n`,
    ).replace('variables:', 'variables:\n  image: {}');
  const write = (text: string) => writeFile(join(folder, 'definitions/quick/definition.yaml'), text);

  it('takes an image that the user names from here, and says why not another source', async () => {
    await write(customised());
    await writeFile(join(folder, 'own.img'), Buffer.alloc(2 ** 20, 'my own disk '));
    const args = ['--var', 'image=own.img', '--boot-check', 'none', '--resume', '--to', 'raw'];
    const { code, stderr, stdout } = await polyvisor('build', 'quick', ...args);
    expect(stderr).toContain(
      'passed over the installer on an image without a location: the provisioner quick starts from packages, disk',
    );
    expect(stderr).toContain('starting from the disk own.img');
    expect(stdout).toContain('warning: going on from before');
    expect(code).toBe(0);
    expect(await readFile(join(folder, 'artifacts/quick-2.0-x86_64/quick-2.0-x86_64-raw.img'), 'utf8')).toMatch(
      /^my own disk /,
    );
  });

  it('says at its place that nobody knows its format', async () => {
    await write(customised(', format: vhdd'));
    const { code, stderr } = await polyvisor('validate', 'quick', '--var', 'image=https://example.org/a');
    expect(stderr).toMatch(/definition\.yaml:5:\d+: there is no format vhdd/);
    expect(code).toBe(2);
  });

  it('says at its place what cannot be typed at a boot menu', async () => {
    await write(customised().replace('boot-command: []', `boot-command: ['<esc>', '<entr><%= name %>']`));
    const { code, stderr } = await polyvisor('validate', 'quick', '--var', 'image=https://example.org/a');
    expect(stderr).toMatch(/definition\.yaml:5:\d+: .*<entr>/);
    await write(customised().replace('boot-command: []', `boot-command: [a], keyboard: dee`));
    expect((await polyvisor('validate', 'quick', '--var', 'image=https://example.org/a')).stderr).toMatch(
      /:5:\d+: .*dee/,
    );
    expect(code).toBe(2);
  });

  it('says which source lacks what when none can be used', async () => {
    await write(customised());
    const { code, stderr } = await polyvisor('build', 'quick', '--var', 'image=');
    expect(stderr).toMatch(
      /definition\.yaml:5:10: the installer on an image without a location: .*\n.*definition\.yaml:5:\d+: the disk an image without a location: no location is given/,
    );
    expect(code).toBe(2);
  });
});

describe('clean', () => {
  /** Names a process that has ended. */
  const dead = ownerTag().replace(/^\d+/, '99999999');
  const inside = (name: string) => join(folder, name);
  const machine = inside.bind(null, 'machine');

  async function leave(provisioner: string): Promise<string> {
    const work = inside(`tmp/polyvisor-${dead}-${provisioner.padEnd(6, 'x')}`);
    await mkdir(join(work, 'provision'), { recursive: true });
    await writeFile(join(work, 'provision/machine'), machine());
    const state = {
      schema: 1,
      command: 'build',
      provisioner,
      subject: '/a/definition.yaml',
      started: '2026-01-01T00:00:00.000Z',
    };
    await writeFile(join(work, 'polyvisor-run.json'), JSON.stringify(state));
    return work;
  }

  beforeEach(async () => {
    await writeFile(machine(), 'a machine outside of its directory');
    await mkdir(inside(`artifacts/a-1.${dead}.part`), { recursive: true });
    await mkdir(inside(`artifacts/b-1.${ownerTag()}.part`));
    await writeFile(inside(`disk.vhd.${dead}.part`), 'x');
    await mkdir(inside(`cache/logs/a-1-x86_64-${dead}`), { recursive: true });
  });

  it('removes what dead runs left, with their machines, and nothing else', async () => {
    const work = await leave('quick');
    const dry = await polyvisor('clean', '--dry-run');
    expect(dry.stdout).toContain(
      `would remove tmp/polyvisor-${dead}-quickx (build with quick of /a/definition.yaml, begun 2026-01-01T00:00:00.000Z)`,
    );
    expect(await readFile(machine(), 'utf8')).toContain('a machine');
    const { code, stdout } = await polyvisor('clean', '--json');
    expect(code).toBe(0);
    expect(result(stdout)).toMatchObject({
      command: 'clean',
      dryRun: false,
      removed: [{ kind: 'work', path: work, state: { provisioner: 'quick' } }, { kind: 'output' }, { kind: 'output' }],
      kept: [{ kind: 'log', option: '--logs' }],
      left: [],
    });
    expect((await readdir(folder)).sort()).toEqual([
      'artifacts',
      'cache',
      'definitions',
      'plugin',
      'polyvisor.yaml',
      'tmp',
    ]);
    expect(await readdir(inside('artifacts'))).toEqual([`b-1.${ownerTag()}.part`]);
    expect(await readdir(inside('tmp'))).toEqual([]);
    expect((await polyvisor('clean', '--logs')).stdout).toMatch(
      /^removed cache\/logs\/a-1-x86_64-.* \(the log of a build that failed\)\n$/,
    );
    expect((await polyvisor('clean')).stdout).toBe('nothing was left behind\n');
  });

  it('leaves what was kept, unless it is told otherwise', async () => {
    const work = await leave('quick');
    await writeFile(join(work, '.polyvisor-keep'), '');
    expect((await polyvisor('clean')).stdout).toMatch(/^kept tmp\/polyvisor-.*; --kept removes it$/m);
    expect(await readdir(inside('tmp'))).toHaveLength(1);
    expect((await polyvisor('clean', '--kept')).code).toBe(0);
    expect(await readdir(inside('tmp'))).toEqual([]);
  });

  it('leaves what only a plugin that is not loaded could end, and says which', async () => {
    await leave('hyperx');
    const { code, stdout } = await polyvisor('clean');
    expect(stdout).toMatch(
      /^cannot remove tmp\/polyvisor-.*: it was made by the provisioner hyperx, which no loaded plugin brings/m,
    );
    expect(code).toBe(ExitCode.no);
    expect(await readFile(machine(), 'utf8')).toContain('a machine');
  });

  it('is done by the next build, too', async () => {
    await leave('quick');
    const { stderr } = await polyvisor('build', 'quick', '--to', 'raw', '--boot-check', 'none');
    expect(stderr).toContain('left behind by a run that was killed');
    expect(await readdir(folder)).not.toContain('machine');
    expect(await readdir(inside('tmp'))).toEqual([]);
  });
});

describe('boot', () => {
  beforeEach(() => writeFile(join(folder, 'disk.img'), Buffer.alloc(1 << 20)));

  it('tells the time, and keeps no log of a boot that worked', async () => {
    const { code, stdout } = await polyvisor('boot', 'disk.img', '--memory', '512M', '--firmware', 'uefi');
    expect(code).toBe(0);
    expect(stdout).toContain('disk.img (raw) booted under UEFI in 1.5 s, stand with none');
    expect(stdout).toContain(`"memory":${512 * 2 ** 20}`);
    expect((await readdir(folder)).filter((name) => name.includes('console'))).toEqual([]);
  });

  it('keeps the log where it is told to', async () => {
    expect((await polyvisor('boot', 'disk.img', '--console-log', 'logs/c.txt')).code).toBe(0);
    expect(await readFile(join(folder, 'logs/c.txt'), 'utf8')).toBe('what the console said');
  });

  it('that fails shows the last lines, keeps the log, and ends with 4', async () => {
    const { code, stderr, stdout } = await polyvisor('boot', 'disk.img', '--expect', 'never');
    expect(code).toBe(ExitCode.guest);
    expect(stdout).toBe('');
    expect(stderr).toContain('  | grub>\n  | rescue\nerror: it did not boot\nhint: look at the log\n');
    expect(await readFile(join(folder, 'disk-bios-console.log'), 'utf8')).toBe('what the console said');
  });

  it.each([
    [['--memory', 'lots'], 'Write bytes'],
    [['--timeout', 'soon'], '90s'],
    [['--expect', '('], 'Invalid regular expression'],
    [['--cpus', '0'], 'whole number'],
    [['--firmware', 'openboot'], 'bios, uefi'],
  ])('%j is a mistake', async (args, text) => {
    const { code, stderr } = await polyvisor('boot', 'disk.img', ...args);
    expect(code).toBe(ExitCode.definition);
    expect(stderr).toContain(text);
  });
});
