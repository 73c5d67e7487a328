import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { definitionInputs } from './inputs.js';
import { loadDefinition, type LoadOptions } from './load.js';

const TEXT = `name: demo
version: 1
source: {packages: {suite: bookworm}}
files: [{from: tree, to: /opt}]
scripts: [run.sh]
users: [{name: a, password: '\${p}'}]
targets: [raw]
variables: {p: {secret: true}}
`;
const GIVEN: LoadOptions = { variables: { p: 'first-secret' } };

let root: string;
let folder: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'inputs-'));
  folder = join(root, 'demo');
  await mkdir(join(folder, 'tree/sub'), { recursive: true });
  await writeFile(join(folder, 'definition.yaml'), TEXT);
  await writeFile(join(folder, 'run.sh'), '#!/bin/sh\n');
  await writeFile(join(folder, 'tree/b'), 'bee');
  await writeFile(join(folder, 'tree/sub/a'), '');
  await symlink('/etc/passwd', join(folder, 'tree/link'));
  await writeFile(join(folder, 'unused'), 'x');
});

afterEach(() => rm(root, { recursive: true, force: true }));

const inputs = async (from = folder, options = GIVEN) => definitionInputs(await loadDefinition(from, options));
const key = async (from?: string, options?: LoadOptions) => (await inputs(from, options)).key;

describe('definitionInputs', () => {
  it('lists the document and all that it refers to, links as links, and nothing else', async () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const { files } = await inputs();
    expect(files.map(({ path, kind, size }) => [path, kind, size])).toEqual([
      ['definition.yaml', 'file', TEXT.length],
      ['run.sh', 'file', 10],
      ['tree/b', 'file', 3],
      ['tree/link', 'link', 11],
      ['tree/sub/a', 'file', 0],
    ]);
    expect(files[2]?.sha256).toBe(sha256('bee'));
    expect(files[3]?.sha256).toBe(sha256('/etc/passwd'));
  });

  it('gives one key for one content, wherever and whenever it is', async () => {
    const before = await key();
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    await utimes(join(folder, 'tree/b'), 1, 1);
    await writeFile(join(folder, 'unused'), 'y');
    await cp(folder, join(root, 'elsewhere'), { recursive: true, verbatimSymlinks: true });
    expect(await key()).toBe(before);
    expect(await key(join(root, 'elsewhere'))).toBe(before);
  });

  it('gives one key whatever the comments, the targets and the boot check are', async () => {
    const before = await key();
    await writeFile(join(folder, 'definition.yaml'), `# new\n${TEXT.replace('[raw]', '[qcow2]')}boot-check: false\n`);
    expect(await key()).toBe(before);
  });

  it.each([
    ['a file', () => writeFile(join(folder, 'tree/b'), 'bea')],
    ['permissions', () => chmod(join(folder, 'tree/b'), 0o755)],
    ['a link', async () => (await rm(join(folder, 'tree/link')), symlink('/etc/group', join(folder, 'tree/link')))],
    ['the number of files', () => writeFile(join(folder, 'tree/c'), '')],
    ['a script', () => writeFile(join(folder, 'run.sh'), '#!/bin/sh\n:\n')],
    ['a package', () => writeFile(join(folder, 'definition.yaml'), `${TEXT}packages: [curl]\n`)],
    ['what is sealed', () => writeFile(join(folder, 'definition.yaml'), `${TEXT}seal: {keep: [logs]}\n`)],
    ['the provisioner', () => writeFile(join(folder, 'definition.yaml'), `${TEXT}provisioner: rootfs\n`)],
  ])('gives another key for another %s', async (_what, change) => {
    const before = await key();
    await change();
    expect(await key()).not.toBe(before);
  });

  it('lets secrets count without showing them', async () => {
    const other = { variables: { p: 'other-secret' } };
    expect(await key(folder, other)).not.toBe(await key());
    expect(JSON.stringify(await inputs())).not.toContain('first-secret');
  });

  it('refuses what cannot be copied, and stops when told to', async () => {
    const definition = await loadDefinition(folder, GIVEN);
    await expect(definitionInputs(definition, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
    execFileSync('mkfifo', [join(folder, 'tree/pipe')]);
    await expect(definitionInputs(definition)).rejects.toMatchObject({ code: 'input-special' });
  });

  it('changes nothing', async () => {
    await inputs();
    expect(await readFile(join(folder, 'definition.yaml'), 'utf8')).toBe(TEXT);
  });
});
