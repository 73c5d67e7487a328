import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorKind, type Event, type ImageFile, PolyvisorError } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHost, type Host, type HostOptions, readProject } from './index.js';

/** Made-up packages lie where Node would not find it. */
const ZOD = pathToFileURL(createRequire(import.meta.url).resolve('zod')).href;

let folder: string;
const events: Event[] = [];

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'polyvisor-host-')));
  events.length = 0;
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Writes files into the test's folder; values that are no text are written as JSON. */
async function write(files: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
}

/** Text of a module that exports a plugin with one converter, in plain JavaScript and without any import. */
function moduleOf(name: string, converterId: string, more = ''): string {
  return `import { z } from '${ZOD}';
  globalThis.madeConverters ??= [];
  export default {
    api: 1, name: '${name}', provisioners: [], booters: [],
    converters: [(context) => {
      globalThis.madeConverters.push('${converterId}');
      return {
        id: '${converterId}', extension: '.${converterId}', summary: 'A made-up format', capabilities: { hypervisors: [] }, options: z.strictObject({ level: z.number().default(3) }),
        detect: async () => 'no', create: async () => {}, open: async () => {},
      };
    }],
    ${more}
  };`;
}

/** The files of a package that is a plugin. */
function pluginPackage(at: string, name: string, module: string, more: object = {}): Record<string, unknown> {
  return {
    [`${at}/package.json`]: {
      name,
      version: '1.2.3',
      type: 'module',
      keywords: ['polyvisor-plugin'],
      exports: './index.js',
      ...more,
    },
    [`${at}/index.js`]: module,
  };
}

async function host(options: Partial<HostOptions> & { in?: string } = {}): Promise<Host> {
  const cwd = join(folder, options.in ?? '.');
  return createHost({
    cwd,
    project: await readProject(cwd),
    plugins: [],
    discovery: true,
    environment: process.env,
    emit: (event) => events.push(event),
    ...options,
  });
}

async function failure(work: Promise<unknown>): Promise<PolyvisorError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(errorKind(error), String(error)).toBeDefined();
  return error as PolyvisorError;
}

const ids = (one: Host) => one.converters().map(({ id }) => id);

describe('finding plugins', () => {
  it('takes a package by name, from a project that does not declare it', async () => {
    await write(pluginPackage('node_modules/format-one', 'format-one', moduleOf('one', 'one')));
    await using made = await host({ plugins: ['format-one'] });
    expect(ids(made)).toEqual(['one']);
    expect(made.plugins()).toMatchObject([
      { name: 'one', package: 'format-one', version: '1.2.3', origin: 'command line' },
    ]);
  });

  it('takes a folder and a file by path, and the same one given twice only once', async () => {
    await write(pluginPackage('mine', '@me/format-two', moduleOf('two', 'two')));
    await using byFolder = await host({ plugins: ['./mine', join(folder, 'mine')] });
    expect(ids(byFolder)).toEqual(['two']);
    await using byFile = await host({ plugins: ['./mine/index.js', './mine'] });
    expect(ids(byFile)).toEqual(['two']);
  });

  it("takes the project file's, relative to that file, from a folder below", async () => {
    await write({
      ...pluginPackage('mine', 'format-two', moduleOf('two', 'two')),
      'polyvisor.yaml': 'plugins: [./mine]\n',
    });
    await mkdir(join(folder, 'deep/er'), { recursive: true });
    await using made = await host({ in: 'deep/er' });
    expect(made.plugins()).toMatchObject([{ package: 'format-two', origin: 'project file' }]);
  });

  it("finds the project's packages by keyword, and only those", async () => {
    await write({
      'package.json': {
        dependencies: { plain: '*' },
        devDependencies: { '@scope/format': '*' },
        optionalDependencies: { gone: '*' },
      },
      ...pluginPackage('node_modules/@scope/format', '@scope/format', moduleOf('three', 'three')),
      ...pluginPackage('node_modules/plain', 'plain', 'throw new Error("no plugin")', { keywords: [] }),
      ...pluginPackage('node_modules/undeclared', 'undeclared', 'throw new Error("not asked for")'),
    });
    await using made = await host();
    expect(made.plugins()).toMatchObject([{ package: '@scope/format', origin: 'project packages' }]);
    await using off = await host({ discovery: false });
    expect(off.plugins()).toEqual([]);
  });

  it('finds the members of a workspace, and the package one stands in', async () => {
    await write({
      'package.json': { workspaces: ['parts/*'] },
      ...pluginPackage('parts/four', 'format-four', moduleOf('four', 'four')),
    });
    await mkdir(join(folder, 'node_modules'));
    await symlink('../parts/four', join(folder, 'node_modules/format-four'));
    await using root = await host();
    expect(ids(root)).toEqual(['four']);
    await using inside = await host({ in: 'parts/four' });
    expect(ids(inside)).toEqual(['four']);
  });

  it("brings the official package's dependencies, behind a project's own version of one", async () => {
    await write({
      'app/package.json': { dependencies: { five: '*', six: '*', tool: '*' } },
      ...pluginPackage('app/node_modules/five', 'five', moduleOf('five', 'five')),
      ...pluginPackage('app/node_modules/six', 'six', moduleOf('six', 'six')),
      ...pluginPackage('app/node_modules/tool', 'tool', 'throw new Error("no plugin")', { keywords: [] }),
      'project/package.json': { dependencies: { six: '*' } },
      ...pluginPackage('project/node_modules/six', 'six', moduleOf('six', 'newer-six')),
    });
    const official = pathToFileURL(join(folder, 'app/package.json'));
    await using made = await host({ in: 'project', official });
    expect(made.plugins()).toMatchObject([
      { package: 'six', origin: 'project packages', converters: [{ id: 'newer-six' }] },
      { package: 'five', origin: 'official' },
    ]);
    await using byName = await host({ in: 'project', official, discovery: false, plugins: ['five'] });
    expect(ids(byName)).toEqual(['five', 'six']);
  });

  it('calls a factory when something of its kind is wanted, and once', async () => {
    await write(pluginPackage('once', 'once', moduleOf('once', 'once-only')));
    await using made = await host({ plugins: ['./once'] });
    const calls = () =>
      (globalThis as { madeConverters?: string[] }).madeConverters?.filter((id) => id === 'once-only').length ?? 0;
    expect(made.provisioners()).toEqual([]);
    expect(calls()).toBe(0);
    made.converter('once-only');
    made.plugins();
    expect(calls()).toBe(1);
  });
});

describe('refusing plugins', () => {
  it.each([
    ['a name that is not installed', 'nowhere', 'plugin-unknown', 'npm install nowhere'],
    ['a path that is not there', './nowhere', 'plugin-unknown', 'check the path'],
    ['a folder that is no package', './empty', 'plugin-unknown', 'the folder of its package'],
    ['a path without ./', 'empty', 'plugin-unknown', './empty'],
  ])('%s', async (_, plugin, code, hint) => {
    await mkdir(join(folder, 'empty'));
    const error = await failure(host({ plugins: [plugin] }));
    expect(error).toMatchObject({ code });
    expect(errorKind(error)).toBe('definition');
    expect(error.message).toContain(plugin.replace('./', ''));
    expect(error.hint).toContain(hint);
  });

  it.each([
    ['a module that throws', 'throw new Error("out of cheese")', {}, 'plugin-broken', 'out of cheese'],
    ['a module with a syntax error', 'export default {', {}, 'plugin-broken', 'does not load'],
    [
      'a module whose import is missing',
      'import "not-installed-anywhere";',
      {},
      'plugin-broken',
      'not-installed-anywhere',
    ],
    ['a package that was not built', '', { exports: './dist/index.js' }, 'plugin-broken', 'dist/index.js'],
    ['no default export', 'export const plugin = 1;', {}, 'plugin-invalid', 'no default export'],
    ['an older API', moduleOf('bad', 'bad', 'api: 0,'), {}, 'plugin-incompatible', 'plugin API 0, this host has 1'],
    ['a newer API', moduleOf('bad', 'bad', 'api: 99,'), {}, 'plugin-incompatible', 'plugin API 99'],
    ['a bad name', moduleOf('Bad_Name', 'bad'), {}, 'plugin-invalid', 'Bad_Name'],
    ['a list that is none', moduleOf('bad', 'bad', 'booters: {},'), {}, 'plugin-invalid', 'booters'],
    ['another Node', moduleOf('bad', 'bad'), { engines: { node: '>=99' } }, 'plugin-incompatible', 'needs Node >=99'],
  ])('%s', async (_, module, more, code, reason) => {
    await write({
      'package.json': { dependencies: { 'bad-format': '*' } },
      ...pluginPackage('node_modules/bad-format', 'bad-format', module, more),
    });
    const error = await failure(host());
    expect(error).toMatchObject({ code });
    expect(errorKind(error)).toBe('environment');
    expect(error.message).toContain('bad-format (project packages)');
    expect(error.message).toContain(reason);
    expect(error.hint).toBeTruthy();
  });

  it.each([
    ['an id that is none', moduleOf('bad', 'Not An Id'), 'plugin-invalid', 'Not An Id'],
    [
      'a converter without methods',
      moduleOf('bad', 'bad', "converters: [() => ({ id: 'bad' })],"),
      'plugin-invalid',
      'detect, create, open, options',
    ],
    [
      'a factory that throws',
      moduleOf('bad', 'bad', "converters: [() => { throw new Error('no luck'); }],"),
      'plugin-broken',
      'no luck',
    ],
  ])('%s', async (_, module, code, reason) => {
    await write(pluginPackage('bad', 'bad-format', module));
    await using made = await host({ plugins: ['./bad'] });
    const error = await failure(Promise.resolve().then(() => made.converters()));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain('bad-format (command line)');
    expect(error.message).toContain(reason);
  });

  it('names both packages when two bring one id', async () => {
    await write({
      ...pluginPackage('a', 'format-a', moduleOf('a', 'same')),
      ...pluginPackage('b', 'format-b', moduleOf('b', 'same')),
    });
    await using made = await host({ plugins: ['./a', './b'] });
    const error = await failure(Promise.resolve().then(() => made.converters()));
    expect(error).toMatchObject({ code: 'plugin-duplicate' });
    expect(error.message).toMatch(/format-b.*format-a.*same/);
  });

  it('names both packages when two plugins have one name', async () => {
    await write({
      ...pluginPackage('a', 'format-a', moduleOf('same', 'a')),
      ...pluginPackage('b', 'format-b', moduleOf('same', 'b')),
    });
    const error = await failure(host({ plugins: ['./a', './b'] }));
    expect(error).toMatchObject({ code: 'plugin-duplicate' });
    expect(error.message).toMatch(/format-a.*format-b.*same/);
  });

  it('names both folders when one package is asked for twice', async () => {
    await write({
      ...pluginPackage('a', 'format', moduleOf('a', 'a')),
      ...pluginPackage('b', 'format', moduleOf('b', 'b')),
    });
    const error = await failure(host({ plugins: ['./a', './b'] }));
    expect(error).toMatchObject({ code: 'plugin-duplicate' });
    expect(error.message).toMatch(/\/a\/index.js and .*\/b\/index.js/);
  });

  it('answers an unknown format with the nearest name and the list', async () => {
    await write(pluginPackage('a', 'format-a', moduleOf('a', 'qcow2')));
    await using made = await host({ plugins: ['./a'] });
    const error = await failure(Promise.resolve().then(() => made.converter('qcow')));
    expect(error).toMatchObject({ code: 'format-unknown', hint: 'did you mean qcow2?' });
    expect(error.message).toContain('known: qcow2');
  });
});

it('tells what is odd about a file as an event, unless the format was named', async () => {
  const sure = moduleOf('a', 'text').replace("detect: async () => 'no'", "detect: async () => 'yes'");
  await write({ ...pluginPackage('a', 'format-a', sure), ...pluginPackage('b', 'format-b', moduleOf('b', 'other')) });
  await using made = await host({ plugins: ['./a', './b'] });
  const file = { path: 'x.other', size: 0 } as ImageFile;
  await made.detect(file, 'text');
  expect(events).toEqual([]);
  expect((await made.detect(file)).id).toBe('text');
  const message = 'x.other is text, although .other is the name of other';
  expect(events).toEqual([{ type: 'log', level: 'info', scope: 'format', message }]);
});

describe('the project file', () => {
  it('gives absolute paths', async () => {
    await write({ 'polyvisor.yaml': 'output: out\ndefinitions: [defs]\nvariables: [a.yaml]\n' });
    await mkdir(join(folder, 'below'));
    expect(await readProject(join(folder, 'below'))).toEqual({
      directory: folder,
      file: join(folder, 'polyvisor.yaml'),
      plugins: [],
      definitions: [join(folder, 'defs')],
      variables: [join(folder, 'a.yaml')],
      output: join(folder, 'out'),
    });
  });

  it('reports every mistake with line and column', async () => {
    await write({ 'polyvisor.yaml': 'output: 3\nplugins:\n  - ok\n  - [1]\ncolour: red\n' });
    const error = (await failure(readProject(folder))) as PolyvisorError & { issues: unknown };
    expect(error.code).toBe('project-invalid');
    expect(error.issues).toMatchObject([
      { line: 1, column: 9, message: expect.stringContaining('output') as string },
      { line: 4, column: 5, message: expect.stringContaining('plugins.1') as string },
      { line: 5, column: 1, message: 'unknown key colour' },
    ]);
  });

  it('reports broken YAML with line and column', async () => {
    await write({ 'polyvisor.yaml': 'plugins: [\n' });
    expect(await failure(readProject(folder))).toMatchObject({ code: 'project-invalid', issues: [{ line: 2 }] });
  });
});
