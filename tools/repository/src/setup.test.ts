import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root } from './repository.js';

/** A workspace of which only the set-up is real: everything it starts is a script that writes down how it was called. */
let directory = '';
const LOCK = {
  packages: {
    '': {},
    'node_modules/thing': { version: '1.0.0' },
    'node_modules/other-system': { version: '1.0.0', optional: true },
  },
};
const INSTALLED = { packages: { 'node_modules/thing': { version: '1.0.0' } } };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-setup-'));
  await cp(join(root, 'tools/setup'), join(directory, 'tools/setup'), { recursive: true });
  await writeJson('package.json', { type: 'module', workspaces: ['packages/*', 'nowhere/*'] });
  await writeJson('packages/cli/package.json', {
    polyvisor: { debianPackages: { run: ['a-tool'], test: ['a-judge'] } },
  });
  await writeJson('package-lock.json', LOCK);
  await writeJson('node_modules/.package-lock.json', INSTALLED);
  await writeJson('node_modules/package.json', {});
  for (const path of ['typescript/bin/tsc', 'eslint/bin/eslint.js', 'prettier/bin/prettier.cjs', 'nx/dist/bin/nx.js']) {
    await script(`node_modules/${path}`, 'note("tool")');
  }
  await script('node_modules/vitest/vitest.mjs', 'import { note } from "../note.mjs"; note("tool")');
  await script('packages/cli/bin/polyvisor.js', 'import { note } from "../../../node_modules/note.mjs"; note("tool")');
  await write('node_modules/note.mjs', `${NOTE}\nexport { note };\n`);
  await command('dpkg-query', 'console.log("a-tool installed\\na-judge installed")');
  await command('apt-get', '');
  await command('sudo', 'process.exit(1)');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const NOTE = `
import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';
const note = () => appendFileSync('calls', [basename(process.argv[1]), ...process.argv.slice(2)].join(' ') + '\\n');`;

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), text);
}

function writeJson(path: string, value: unknown): Promise<void> {
  return write(path, JSON.stringify(value));
}

/** A program of node_modules; CommonJS where its name does not say otherwise. */
function script(path: string, body: string): Promise<void> {
  const common = `const { appendFileSync } = require('node:fs'); const { basename } = require('node:path');
const note = () => appendFileSync('calls', [basename(process.argv[1]), ...process.argv.slice(2)].join(' ') + '\\n');\n`;
  return write(path, body.startsWith('import') ? body : common + body);
}

/** A command on PATH. */
async function command(name: string, body: string): Promise<void> {
  const path = join('bin', name);
  await write('bin/package.json', '{}');
  await script(path, `note();\n${body}`);
  const text = await readFile(join(directory, path), 'utf8');
  await write(path, `#!${process.execPath}\n${text}`);
  await chmod(join(directory, path), 0o755);
}

async function calls(): Promise<string[]> {
  const text = await readFile(join(directory, 'calls'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('dpkg-query'));
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function setup(
  args: readonly string[],
  options: { env?: Record<string, string>; node?: string[]; stop?: RegExp; stopGroup?: RegExp } = {},
): Promise<Ended> {
  const env = { PATH: `${join(directory, 'bin')}:/usr/bin:/bin`, ...options.env };
  return new Promise((resolve) => {
    const path = join(directory, 'tools/setup/run.mjs');
    const child = spawn(process.execPath, [...(options.node ?? []), path, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        output[stream] += text;
        if (options.stop?.test(text) === true) child.kill('SIGTERM');
        if (options.stopGroup?.test(text) === true && child.pid !== undefined) {
          process.kill(-child.pid, 'SIGTERM');
          setTimeout(() => child.kill('SIGTERM'), 50); // npm's echo of it
        }
      });
    }
    child.once('close', (code) => resolve({ code, ...output }));
  });
}

const lastLine = ({ stdout }: Ended) => stdout.trimEnd().split('\n').pop();

/** A vitest that reports so many tests. */
function reporting(report: object, exitCode: number): Promise<void> {
  return script(
    'node_modules/vitest/vitest.mjs',
    `import { note } from '../note.mjs';
import { mkdirSync, writeFileSync } from 'node:fs';
note();
mkdirSync('coverage', { recursive: true });
writeFileSync('coverage/results.json', ${JSON.stringify(JSON.stringify(report))});
process.exitCode = ${exitCode};`,
  );
}

const NOTHING = { testResults: [], numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };

describe('npm start', () => {
  it('compiles and runs the command, with what was added and with its exit code', async () => {
    await script(
      'packages/cli/bin/polyvisor.js',
      'import { note } from "../../../node_modules/note.mjs"; note(); process.exit(4)',
    );
    expect((await setup(['start', '--to', 'qcow2'])).code).toBe(4);
    expect(await calls()).toEqual(['apt-get --version', 'tsc -b', 'polyvisor.js build debian-12 --force --to qcow2']);
  });

  it('replaces nothing in a folder that was named', async () => {
    await setup(['start', '-o', 'out']);
    expect((await calls()).pop()).toBe('polyvisor.js build debian-12 -o out');
  });

  it('stops where the sources do not compile', async () => {
    await script('node_modules/typescript/bin/tsc', 'process.exit(2)');
    expect((await setup(['start'])).code).toBe(70);
  });

  it('passes a signal on and lets the command end in its own way', async () => {
    await script(
      'packages/cli/bin/polyvisor.js',
      `import { setTimeout } from 'node:timers/promises';
process.once('SIGTERM', async () => { await setTimeout(200); console.log('tidied up'); process.exit(143); });
console.log('at work');
await setTimeout(20_000);`,
    );
    const ended = await setup(['start'], { stop: /at work/ });
    expect(ended).toMatchObject({ code: 143 });
    expect(lastLine(ended)).toBe('tidied up');
  });

  it('passes no signal on that the command has got with its group', async () => {
    await script(
      'packages/cli/bin/polyvisor.js',
      `import { setTimeout } from 'node:timers/promises';
let times = 0;
process.on('SIGTERM', () => times++);
console.log('at work');
await setTimeout(1_000);
console.log('told ' + times + ' times');`,
    );
    expect(lastLine(await setup(['start'], { stopGroup: /at work/ }))).toBe('told 1 times');
  });
});

describe('npm test', () => {
  it('counts every test and every check, on a line of its own', async () => {
    await reporting({ ...NOTHING, numPassedTests: 7, numPendingTests: 1 }, 0);
    const ended = await setup(['test']);
    expect(lastLine(ended)).toBe('10 passed, 0 failed, 1 skipped');
    expect(ended.code).toBe(0);
  });

  it.each([
    { what: 'a test fails', report: { ...NOTHING, numPassedTests: 7, numFailedTests: 2 }, line: '10 passed, 2 failed' },
    {
      what: 'a file cannot be loaded',
      report: { ...NOTHING, testResults: [{ status: 'failed', assertionResults: [] }] },
      line: '3 passed, 1 failed',
    },
    { what: 'all passed but something went wrong besides', report: NOTHING, line: '3 passed, 1 failed' },
  ])('fails when $what', async ({ report, line }) => {
    await reporting(report, 1);
    const ended = await setup(['test']);
    expect(lastLine(ended)).toBe(line);
    expect(ended.code).toBe(1);
  });

  it('fails when the tests break off without a report, and does not take an old one for it', async () => {
    await writeJson('coverage/results.json', { ...NOTHING, numPassedTests: 99 });
    await script('node_modules/vitest/vitest.mjs', 'import "node:fs"; process.exit(1)');
    const ended = await setup(['test']);
    expect(lastLine(ended)).toBe('3 passed, 1 failed');
    expect(ended.code).toBe(1);
  });

  it('goes on after a failed check, and fails', async () => {
    await reporting({ ...NOTHING, numPassedTests: 1 }, 0);
    await script('node_modules/eslint/bin/eslint.js', 'process.exit(1)');
    const ended = await setup(['test']);
    expect(lastLine(ended)).toBe('3 passed, 1 failed');
    expect(ended.code).toBe(1);
  });

  it('runs only the tests that are named', async () => {
    await reporting({ ...NOTHING, numPassedTests: 1 }, 0);
    expect(lastLine(await setup(['test', 'qcow2', '--bail=1']))).toBe('2 passed, 0 failed');
    expect((await calls()).pop()).toMatch(/^vitest\.mjs run .* qcow2 --bail=1$/);
  });
});

describe('npm packages', () => {
  const npm = { npm_execpath: '' };
  beforeEach(async () => {
    await write('npm/package.json', '{}');
    await script('npm/cli.js', 'note(); if (process.env.BREAK) process.exit(1)');
    npm.npm_execpath = join(directory, 'npm/cli.js');
  });

  it('are left alone when they are those of the lockfile', async () => {
    await setup(['start'], { env: npm });
    expect(await calls()).not.toContainEqual(expect.stringMatching(/^cli\.js ci/));
  });

  it.each([
    { what: 'there are none', path: 'node_modules/.package-lock.json', value: undefined },
    {
      what: 'one has another version',
      path: 'node_modules/.package-lock.json',
      value: { packages: { 'node_modules/thing': { version: '0.9.0' } } },
    },
    {
      what: 'one came new',
      path: 'package-lock.json',
      value: { packages: { ...LOCK.packages, 'node_modules/new': { version: '1.0.0' } } },
    },
  ])('are installed when $what', async ({ path, value }) => {
    if (value === undefined) await rm(join(directory, path));
    else await writeJson(path, value);
    expect((await setup(['start'], { env: npm })).code).toBe(0);
    expect((await calls())[0]).toMatch(/^cli\.js ci --include=dev /);
  });

  it('that cannot be installed end it with exit code 3', async () => {
    await rm(join(directory, 'node_modules/.package-lock.json'));
    const { code, stderr } = await setup(['start'], { env: { ...npm, BREAK: '1' } });
    expect(code).toBe(3);
    expect(stderr).toContain('`npm ci` ended with exit code 1');
  });

  it('are installed by one of two that start together', async () => {
    await rm(join(directory, 'node_modules/.package-lock.json'));
    await script(
      'npm/cli.js',
      `note(); setTimeout(() => require('node:fs').writeFileSync('node_modules/.package-lock.json', ${JSON.stringify(JSON.stringify(INSTALLED))}), 1000)`,
    );
    const both = await Promise.all([setup(['start'], { env: npm }), setup(['start'], { env: npm })]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect((await calls()).filter((line) => line.startsWith('cli.js ci'))).toHaveLength(1);
    expect(both.some(({ stderr }) => /another set-up .* is at work/.test(stderr))).toBe(true);
  });
});

describe('Debian packages', () => {
  const missing = () => command('dpkg-query', 'console.log("a-judge installed")');

  it('that are missing and may not be installed end it with exit code 3 and the command to run', async () => {
    await missing();
    const { code, stderr } = await setup(['start'], { env: { POLYVISOR_INSTALL: 'never' } });
    expect(code).toBe(3);
    expect(stderr).toMatch(/^ {2}sudo apt-get update && sudo apt-get install -y --no-install-recommends a-tool$/m);
    expect(await calls()).not.toContainEqual(expect.stringMatching(/apt-get .*install/));
  });

  it('are those of the task', async () => {
    await command('dpkg-query', '');
    expect((await setup(['start'], { env: { POLYVISOR_INSTALL: 'never' } })).stderr).toContain(
      '--no-install-recommends a-tool\n',
    );
    expect((await setup(['test'], { env: { POLYVISOR_INSTALL: 'never' } })).stderr).toContain('a-judge a-tool\n');
  });

  it('are only named where there is no apt', async () => {
    await command('dpkg-query', 'process.exit(1)');
    const { code, stderr } = await setup(['start']);
    expect(code).toBe(0);
    expect(stderr).toContain('not a Debian system');
    expect(stderr).toContain('a-tool');
  });

  /** Whoever runs the tests, this is the way to root's rights: sudo, or none where that is what they have. */
  const allow = () =>
    command(
      'sudo',
      `require('node:child_process').spawnSync(process.argv[3], process.argv.slice(4), { stdio: 'inherit' })`,
    );

  it('are installed, with the lists of packages fetched first when these do not know them', async () => {
    await missing();
    await allow();
    await command(
      'apt-get',
      `const { existsSync } = require('node:fs');
if (process.argv.includes('update')) require('node:fs').writeFileSync('lists', '');
else if (process.argv.includes('install') && !existsSync('lists')) process.exit(100);`,
    );
    expect((await setup(['start'])).code).toBe(0);
    const asked = (await calls())
      .filter((line) => line.startsWith('apt-get'))
      .map((line) => line.replace(/-o \S+ ?/g, ''));
    expect(asked).toEqual([
      'apt-get --version',
      'apt-get -s -y -qq install --no-install-recommends a-tool',
      'apt-get -y -qq update',
      'apt-get -y -qq install --no-install-recommends a-tool',
    ]);
  });

  it('are waited for while another package manager is at work', async () => {
    await missing();
    await allow();
    await command(
      'apt-get',
      `const fs = require('node:fs');
if (process.argv.includes('-s') || !process.argv.includes('install')) process.exit(0);
if (!fs.existsSync('tried')) { fs.writeFileSync('tried', ''); console.error('E: Could not get lock /var/lib/dpkg/lock-frontend'); process.exit(100); }`,
    );
    const { code, stderr } = await setup(['start']);
    expect(stderr).toContain('another package manager is at work');
    expect(code).toBe(0);
  });

  it('that cannot be installed end it with exit code 3 and what apt said', async () => {
    await missing();
    await allow();
    await command(
      'apt-get',
      `if (process.argv.includes('install')) { console.error('E: no such package'); process.exit(100); }`,
    );
    const { code, stderr } = await setup(['start']);
    expect(code).toBe(3);
    expect(stderr).toContain('E: no such package');
  });
});

describe('VirtualBox', () => {
  const env = () => ({ XDG_CACHE_HOME: join(directory, 'cache') });
  const ready = () => join(directory, 'cache/polyvisor/virtualbox/VBoxManage');
  beforeEach(async () => {
    await reporting({ ...NOTHING, numPassedTests: 1 }, 0);
    await writeJson('packages/testkit/package.json', { polyvisor: { programs: ['virtualbox'] } });
    await script(
      'node_modules/vitest/vitest.mjs',
      'import "node:fs"; console.log("judge: " + process.env.POLYVISOR_VBOXMANAGE);',
    );
    // An apt that knows a mirror, and from it "downloads" a package of nothing but what the set-up looks for.
    await command(
      'apt-get',
      `const { readFileSync, writeFileSync } = require('node:fs');
if (process.argv.includes('indextargets')) console.log('http://mirror.invalid/debian-security/ bookworm-security stable-security main\\nhttp://mirror.invalid/debian/ bookworm stable main');
if (process.argv.includes('--download-only')) {
  const configuration = readFileSync(process.argv[process.argv.indexOf('-c') + 1], 'utf8');
  const [, cache] = /Dir::Cache "(.*)";/.exec(configuration);
  const [, list] = /Dir::Etc::sourcelist "(.*)";/.exec(configuration);
  writeFileSync('sources', readFileSync(list));
  writeFileSync(cache + '/archives/virtualbox_7.9.1-1_amd64.deb', '');
}`,
    );
    await command(
      'dpkg-deb',
      `const { mkdirSync, writeFileSync } = require('node:fs');
const root = process.argv[4] + '/usr/lib/';
for (const folder of ['virtualbox/components', 'x86_64-linux-gnu']) mkdirSync(root + folder, { recursive: true });
writeFileSync(root + 'virtualbox/VBoxManage', '#!/bin/sh\\necho 7.9.1\\n', { mode: 0o755 });`,
    );
    await command('patchelf', '');
  });
  const judge = ({ stdout }: Ended) => /^judge: (.*)$/m.exec(stdout)?.[1];

  it('is unpacked into the cache once, from the mirror that apt uses', async () => {
    const first = await setup(['test'], { env: env() });
    expect(judge(first), first.stderr).toBe(ready());
    expect(await readFile(join(directory, 'sources'), 'utf8')).toMatch(/ http:\/\/mirror\.invalid\/debian\/ sid /);
    expect(await readdir(join(directory, 'cache/polyvisor'))).toEqual(['virtualbox']);
    const before = (await calls()).length;
    expect(judge(await setup(['test'], { env: env() }))).toBe(ready());
    expect((await calls()).slice(before)).not.toContainEqual(
      expect.stringMatching(/^(apt-get .*-c|dpkg-deb|patchelf)/),
    );
  });

  it('is made anew where the cache does not work', async () => {
    await setup(['test'], { env: env() });
    await writeFile(ready(), '#!/bin/sh\nexit 1\n');
    expect(judge(await setup(['test'], { env: env() }))).toBe(ready());
    expect(await readFile(ready(), 'utf8')).toContain('VBOX_APP_HOME');
  });

  it.each([
    {
      what: 'there is no mirror',
      tool: 'apt-get',
      body: `if (process.argv.includes('update')) { console.error('E: no mirror'); process.exit(100); } if (process.argv.includes('indextargets')) console.log('http://mirror.invalid/debian/ bookworm stable main')`,
      message: 'E: no mirror',
    },
    { what: 'the sources name no mirror', tool: 'apt-get', body: '', message: 'name no Debian mirror' },
    {
      what: 'a tool fails',
      tool: 'patchelf',
      body: 'console.error("not an ELF"); process.exit(1)',
      message: 'not an ELF',
    },
  ])('is left out with the reason when $what', async ({ tool, body, message }) => {
    await command(tool, body);
    const ended = await setup(['test'], { env: env() });
    expect(ended.stderr).toContain(message);
    expect(judge(ended)).toBe('undefined');
    expect(await readdir(join(directory, 'cache/polyvisor'))).toEqual([]);
  });

  it('is not downloaded where nothing may be installed', async () => {
    const ended = await setup(['test'], { env: { ...env(), POLYVISOR_INSTALL: 'never' } });
    expect(ended.stderr).toContain('POLYVISOR_INSTALL forbids it');
    expect(judge(ended)).toBe('undefined');
  });

  it('is the one that is named, where one is', async () => {
    expect(judge(await setup(['test'], { env: { ...env(), POLYVISOR_VBOXMANAGE: '/opt/VBoxManage' } }))).toBe(
      '/opt/VBoxManage',
    );
  });
});

it('an old Node is named, with what is needed', async () => {
  const old = 'data:text/javascript,Object.defineProperty(process.versions, "node", { value: "18.20.0" })';
  const { code, stderr } = await setup(['start'], { node: ['--import', old] });
  expect(code).toBe(3);
  expect(stderr).toContain('needs Node.js 20.19 or later, this is 18.20.0');
});

it('an unknown task is refused', async () => {
  const { code, stderr } = await setup(['toString']);
  expect(code).toBe(2);
  expect(stderr).toContain('start, test, lint, build');
});
