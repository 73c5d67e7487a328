import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode, Interruption } from './exit-code.js';
import type { Output } from './io.js';
import { COMMANDS } from './program.js';
import { run } from './run.js';

/** The made-up plugin lies where Node would not find it. */
const ZOD = pathToFileURL(createRequire(import.meta.url).resolve('zod')).href;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-cli-'));
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

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The objects on stdout, for runs with `--json`. */
  records(): Record<string, unknown>[];
}

async function polyvisor(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  signal = new AbortController().signal,
): Promise<Ran> {
  const stdout = capture();
  const stderr = capture();
  const code = await run(args, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    cwd: folder,
    env: { PATH: process.env['PATH'], ...env },
    signal,
  });
  return {
    code,
    stdout: stdout.text(),
    stderr: stderr.text(),
    records: () =>
      stdout
        .text()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

/** A plugin in plain JavaScript whose one format is a copy of the disk behind a line of text; its writer can be told to fail. */
async function fakePlugin(name = 'fake'): Promise<void> {
  await mkdir(join(folder, name));
  await writeFile(
    join(folder, name, 'package.json'),
    JSON.stringify({ name, version: '9.8.7', type: 'module', exports: './index.js' }),
  );
  await writeFile(
    join(folder, name, 'index.js'),
    `import { z } from '${ZOD}';
    const MARK = Buffer.from('FAKEDISK');
    export default {
      api: 1, name: '${name}', booters: [],
      converters: [() => ({
        id: '${name}', extension: '.fake', summary: 'A made-up format',
        capabilities: { order: 'append', maxSize: 2 ** 40, sizeMultiple: 4096, compression: [], hypervisors: ['Nowhere'] },
        options: z.strictObject({ fail: z.boolean().optional().describe('Fall over while writing') }),
        detect: async (file) => {
          if (file.size < 8) return 'no';
          const head = Buffer.alloc(8);
          await file.read(head, 0);
          return head.equals(MARK) ? 'yes' : 'no';
        },
        create: async ({ sink, size, options }) => {
          const whole = Math.ceil(size / 4096) * 4096;
          return {
            size: whole,
            write: async ({ offset, bytes }) => {
              if (options.fail) throw new Error('the writer fell over');
              await sink.write(bytes, offset + 8);
            },
            finish: async () => { await sink.write(MARK, 0); await sink.end(whole + 8); },
            abort: async () => {},
          };
        },
        open: async (file) => ({
          facts: { mood: 'good' },
          disk: {
            size: file.size - 8,
            async *extents() { yield { offset: 0, length: file.size - 8 }; },
            read: (into, offset) => file.read(into, offset + 8),
            [Symbol.asyncDispose]: async () => {},
          },
        }),
      })],
      provisioners: [(context) => ({
        id: '${name}-maker', summary: 'Makes nothing', capabilities: {}, options: z.strictObject({}),
        probe: async () => ({ usable: false, reason: 'it is made up', hint: 'be real', debianPackages: ['zeta', 'alpha'] }),
        estimate: async () => 0, provision: async () => {},
      })],
    };`,
  );
}

const files = async () => (await readdir(folder)).filter((name) => !['fake', 'disk.img'].includes(name)).sort();

/** A disk of 1.5 MiB and one sector, which no format can hold exactly that wants multiples of 4 KiB. */
async function makeDisk(name = 'disk.img'): Promise<Buffer> {
  const bytes = Buffer.alloc(1_573_376);
  bytes.fill('data', 4096, 100_000);
  bytes.write('end', bytes.length - 3);
  await writeFile(join(folder, name), bytes);
  return bytes;
}

describe('the command line', () => {
  it.each(['--help', '-h'])('%s lists the commands with examples, exit code 0', async (flag) => {
    const { code, stdout, stderr } = await polyvisor([flag]);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    for (const { name } of COMMANDS) expect(stdout).toContain(`  ${name} `);
    expect(stdout).toContain('Examples:');
  });

  it.each(COMMANDS.map(({ name }) => name))('%s --help has arguments, global options and examples', async (name) => {
    const { code, stdout } = await polyvisor([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: polyvisor ${name} \\[options\\]`));
    expect(stdout).toContain('--plugin <name>');
    expect(stdout).toMatch(new RegExp(`Examples:\n(.*\n)*.*polyvisor ${name}`));
  });

  it('prints its version', async () => {
    const own = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
    expect(await polyvisor(['--version'])).toMatchObject({ code: 0, stdout: `${own.version}\n` });
  });

  it.each([
    [[], 'Usage: polyvisor'],
    [['convrt'], 'Did you mean convert?'],
    [['inspect'], "missing required argument 'image'"],
    [['convert', 'disk.img'], "required option '--to <format>' not specified"],
    [['convert', 'disk.img', '--to', 'raw', '--too', 'raw'], 'Did you mean --to?'],
    [['inspect', 'a', 'b'], 'too many arguments'],
    [['convert', 'disk.img', '--to', 'Raw'], 'no name of a format'],
    [['inspect', 'disk.img', '--plugin', './nowhere'], 'there is no plugin at'],
  ])('%j is a mistake: exit code 2', async (args, text) => {
    const { code, stdout, stderr } = await polyvisor(args);
    expect(stderr).toContain(text);
    expect(code).toBe(ExitCode.definition);
    expect(stdout).toBe('');
  });
});

it('says what is wrong with a command line to machines, too', async () => {
  const { code, records, stderr } = await polyvisor(['convert', 'disk.img', '--json']);
  expect(code).toBe(ExitCode.definition);
  expect(records()).toMatchObject([
    { type: 'error', code: 'usage', message: "required option '--to <format>' not specified" },
  ]);
  expect(stderr).toContain('--to <format>');
});

describe('convert', () => {
  beforeEach(() => fakePlugin());
  const plugin = ['--plugin', './fake'];

  it('writes every format under its name, and says what it made', async () => {
    const bytes = await makeDisk();
    const { code, stdout, stderr } = await polyvisor([
      ...plugin,
      'convert',
      'disk.img',
      '--to',
      'raw,fake',
      '-o',
      'out',
      '--verify',
    ]);
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);
    expect((await readdir(join(folder, 'out'))).sort()).toEqual(['disk-fake.fake', 'disk-raw.img']);
    const fake = await readFile(join(folder, 'out/disk-fake.fake'));
    expect(fake.subarray(8, 8 + bytes.length).equals(bytes)).toBe(true);
    expect(stdout).toMatch(/fake +1\.50 MiB +1\.50 MiB .* [0-9a-f]{64} +out\/disk-fake\.fake/);
    expect(stdout).toContain(
      'note: fake cannot hold a disk of exactly 1573376 bytes: it has 1576960 (3.50 KiB of zeros more)',
    );
    expect(stderr).toContain('done: writing raw, fake');
  });

  it('gives machines the same, as JSON', async () => {
    await makeDisk();
    const { code, records, stderr } = await polyvisor([
      'convert',
      'disk.img',
      '--to',
      'fake',
      '-o',
      'x.bin',
      '--json',
      ...plugin,
    ]);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    const all = records();
    expect(all[0]).toMatchObject({ type: 'stage-start', stage: 'export' });
    for (const record of all) expect(record['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(all.at(-1)).toMatchObject({
      type: 'result',
      command: 'convert',
      source: { format: 'raw', size: 1_573_376 },
      artifacts: [{ path: join(folder, 'x.bin'), format: 'fake', size: 1_576_960, bytes: 1_576_968 }],
    });
  });

  it('reads what it wrote, whatever it is called, and finds it the same', async () => {
    await makeDisk();
    await polyvisor([...plugin, 'convert', 'disk.img', '--to', 'fake', '-o', 'x.bin']);
    expect((await polyvisor([...plugin, 'verify', 'x.bin'])).stdout).toContain('x.bin: fake, 1.50 MiB; all');
    const same = await polyvisor([...plugin, 'verify', 'disk.img', 'x.bin']);
    expect(same).toMatchObject({ code: 0, stdout: 'the same disk; one is 3.50 KiB longer, all of it zero\n' });
    const handle = await readFile(join(folder, 'x.bin'));
    handle[8 + 70_000] = 0x21;
    await writeFile(join(folder, 'y.bin'), handle);
    const differs = await polyvisor([...plugin, 'verify', 'disk.img', 'y.bin']);
    expect(differs.code).toBe(ExitCode.no);
    expect(differs.stdout).toContain('first at byte 70000: 0x64 in disk.img, 0x21 in y.bin');
    expect((await polyvisor([...plugin, 'inspect', 'x.bin'])).stdout).toMatch(
      /format +fake: A made-up format\n(.*\n)*mood +good/,
    );
  });

  it('notes the extension of another format, and no other', async () => {
    await makeDisk();
    const note = 'note: x.qcow2 is raw, although .qcow2 is the name of qcow2';
    expect((await polyvisor(['convert', 'disk.img', '--to', 'raw', '-o', 'x.qcow2'])).stdout).toContain(note);
    expect((await polyvisor(['convert', 'disk.img', '--to', 'raw', '-o', 'x.raw'])).stdout).not.toContain('note');
  });

  it('finds the definitions that come along from any folder', async () => {
    expect((await polyvisor(['validate', 'minimal'])).stdout).toContain('is valid: minimal');
  });

  it('refuses a file that exists, unless it is told to replace it', async () => {
    await makeDisk();
    await writeFile(join(folder, 'there.raw'), 'mine');
    const args = ['convert', 'disk.img', '--to', 'raw', '-o', 'there.raw'];
    const refused = await polyvisor(args);
    expect(refused.code).toBe(ExitCode.definition);
    expect(refused.stderr).toContain('--force');
    expect(await readFile(join(folder, 'there.raw'), 'utf8')).toBe('mine');
    expect((await polyvisor([...args, '--force'])).code).toBe(0);
    expect((await stat(join(folder, 'there.raw'))).size).toBe(1_573_376);
  });

  it('leaves nothing when one of several writers fails, which is a bug', async () => {
    await makeDisk();
    const { code, stderr } = await polyvisor([
      ...plugin,
      'convert',
      'disk.img',
      '--to',
      'raw',
      '--to',
      'fake:fail=true',
    ]);
    expect(code).toBe(ExitCode.bug);
    expect(stderr).toContain('error: the writer fell over');
    expect(stderr).toMatch(/index\.js:\d+/);
    expect(stderr).toContain('please report');
    expect(await files()).toEqual([]);
  });

  it('leaves nothing when it is interrupted', async () => {
    await makeDisk();
    const controller = new AbortController();
    controller.abort(new Interruption('ended by SIGTERM', ExitCode.terminated));
    const { code, stderr } = await polyvisor(['convert', 'disk.img', '--to', 'raw'], {}, controller.signal);
    expect(code).toBe(ExitCode.terminated);
    expect(stderr).toContain('ended by SIGTERM');
    expect(await files()).toEqual([]);
  });

  it.each([
    [['convert', 'disk.img', '--to', 'rav'], 2, 'did you mean raw?'],
    [['convert', 'disk.img', '--to', 'raw:colour=red'], 2, 'known options'],
    [['convert', 'nowhere.img', '--to', 'raw'], 3, 'there is no such file'],
    [['convert', 'fake', '--to', 'raw'], 2, 'is a directory'],
    [['convert', 'disk.img', '--to', 'raw', '--from', 'fke', ...plugin], 2, 'did you mean fake?'],
    [['convert', 'disk.img', '--to', 'raw', '--to', 'raw'], 2, 'would both be written'],
  ])('%j', async (args, code, text) => {
    await makeDisk();
    const ran = await polyvisor(args);
    expect(ran.stderr).toContain(text);
    expect(ran.code).toBe(code);
    expect(await files()).toEqual([]);
  });

  it('checks SOURCE_DATE_EPOCH', async () => {
    await makeDisk();
    for (const bad of ['yesterday', '-1', '1.5', '99999999999999']) {
      const { code, stderr } = await polyvisor(['convert', 'disk.img', '--to', 'raw'], { SOURCE_DATE_EPOCH: bad });
      expect(code).toBe(ExitCode.definition);
      expect(stderr).toContain(`SOURCE_DATE_EPOCH is "${bad}"`);
    }
    expect((await polyvisor(['convert', 'disk.img', '--to', 'raw'], { SOURCE_DATE_EPOCH: '1700000000' })).code).toBe(0);
  });
});

describe('plugins', () => {
  it('lists the official ones and those named, with what they bring', async () => {
    await fakePlugin();
    const { code, records, stderr } = await polyvisor(['plugins', '--json', '--plugin', './fake']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { plugins } = records().at(-1) as {
      plugins: { name: string; origin: string; converters: { id: string }[] }[];
    };
    expect(plugins[0]).toMatchObject({
      name: 'fake',
      version: '9.8.7',
      origin: 'command line',
      converters: [{ id: 'fake' }],
    });
    const own = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
      dependencies: object;
    };
    const official = plugins.filter(({ origin }) => origin === 'official').map(({ name }) => `@polyvisor/${name}`);
    expect(official).toEqual(
      Object.keys(own.dependencies)
        .filter((name) => /(converter|provisioner|booter)-/.test(name))
        .sort(),
    );
    const { stdout } = await polyvisor(['plugins', '--plugin', './fake']);
    expect(stdout).toMatch(/fake +9\.8\.7 +command line +fake/);
    expect(stdout).toMatch(/format +fake +\.fake +fake +A made-up format/);
  });

  it('explains the options of one, and prints their schema', async () => {
    const { stdout } = await polyvisor(['plugins', '--options', 'qcow2']);
    expect(stdout).toContain('order: random');
    expect(stdout).toMatch(/compression: none \| zlib \| zstd, default "none"\n +zlib/);
    const schema = JSON.parse((await polyvisor(['schema', 'qcow2'])).stdout) as { properties: object };
    expect(Object.keys(schema.properties)).toContain('compression');
    expect(await polyvisor(['plugins', '--options', 'qcow'])).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('doctor', () => {
  it('names every reason, every mend and one command for all that is missing', async () => {
    await fakePlugin();
    const { records } = await polyvisor(['doctor', '--json', '--plugin', './fake']);
    const result = records().find(({ type }) => type === 'result') as Record<string, unknown>;
    expect(result).toMatchObject({ machine: { node: process.version } });
    expect(result['checks']).toContainEqual({
      kind: 'provisioner',
      id: 'fake-maker',
      summary: 'Makes nothing',
      probe: { usable: false, reason: 'it is made up', hint: 'be real', debianPackages: ['zeta', 'alpha'] },
    });
    const { stdout, code } = await polyvisor(['doctor', '--plugin', './fake']);
    expect(stdout).toContain('reason: it is made up');
    expect(code).toBe(result['canBuild'] === true ? 0 : 3);
  });
});

describe('definitions', () => {
  it('are started, validated and described', async () => {
    const made = await polyvisor(['define', 'web']);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stdout).toContain('definitions/web/definition.yaml');
    const valid = await polyvisor(['validate', 'web']);
    expect(valid.stderr).toBe('');
    expect(valid.stdout).toContain('is valid: web 0.1.0 (x86_64, disk of 4.00 GiB)');
    expect(await polyvisor(['define', 'web'])).toMatchObject({ code: 2 });
    const schema = JSON.parse((await polyvisor(['schema'])).stdout) as { title: string };
    expect(schema.title).toContain('definition');
  });

  it('that are wrong are reported with every place, targets and options included', async () => {
    await polyvisor(['define', 'web']);
    const path = join(folder, 'definitions/web/definition.yaml');
    const good = await readFile(path, 'utf8');
    await writeFile(path, `${good}\ntargets:\n  - qcow\n  - format: qcow2\n    colour: red\n    level: 99\n`);
    const lines = (await readFile(path, 'utf8')).split('\n');
    const line = (text: string) => lines.findLastIndex((one) => one.includes(text)) + 1;
    const { code, stderr } = await polyvisor(['validate', 'web']);
    expect(code).toBe(ExitCode.definition);
    expect(stderr).toContain(`definition.yaml:${line('- qcow')}:5: there is no format qcow`);
    expect(stderr).toMatch(new RegExp(`definition.yaml:${line('colour: red')}:\\d+: qcow2 has no option colour`));
    expect(stderr).toMatch(new RegExp(`definition.yaml:${line('level: 99')}:\\d+: qcow2.level: `));
    expect(stderr).toContain('3 problems');
  });
});

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('knows commands, options and formats: %s', async (shell) => {
    const { code, stdout } = await polyvisor(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['convert', 'force', 'plugin', 'qcow2']) expect(stdout).toContain(word);
  });
});
