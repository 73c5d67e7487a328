import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDefinition } from './create.js';
import { loadDefinition } from './load.js';

let into: string;

beforeEach(async () => {
  into = await mkdtemp(join(tmpdir(), 'create-'));
});

afterEach(() => rm(into, { recursive: true, force: true }));

describe('createDefinition', () => {
  it('writes a definition that is right as it is, with comments and a script', async () => {
    const path = await createDefinition({ name: 'web', into: join(into, 'new/folder') });
    expect(path).toBe(join(into, 'new/folder/web/definition.yaml'));
    expect(await readFile(path, 'utf8')).toMatch(/^# .*\n/);
    const { appliance } = await loadDefinition(path);
    expect(appliance).toMatchObject({ name: 'web', scripts: [{ name: 'scripts/setup.sh' }] });
    expect((await stat(join(path, '../scripts/setup.sh'))).mode & 0o777).toBe(0o755);
    expect(await readdir(join(into, 'new/folder'))).toEqual(['web']);
  });

  it('copies another one, changing the name and nothing else', async () => {
    const first = join(into, 'first');
    await mkdir(join(first, 'files'), { recursive: true });
    const text =
      '# kept\nversion:   1.0 # kept too\nname: "first"   # the name\nsource: {packages: {suite: sid}}\nfiles: [{from: files/a, to: /a}]\n';
    await writeFile(join(first, 'definition.yaml'), text);
    await writeFile(join(first, 'files/a'), 'a');
    await symlink('a', join(first, 'files/link'));
    await mkdir(join(first, 'artifacts'));
    const path = await createDefinition({ name: 'second', into, from: 'first', searchFolders: [into] });
    expect(await readFile(path, 'utf8')).toBe(text.replace('"first"', 'second'));
    expect(await readdir(join(into, 'second'))).toEqual(['definition.yaml', 'files']);
    expect(await readdir(join(into, 'second/files'))).toEqual(['a', 'link']);
    expect((await loadDefinition(path)).appliance.name).toBe('second');
  });

  it('never touches what is there', async () => {
    await mkdir(join(into, 'web'));
    await expect(createDefinition({ name: 'web', into })).rejects.toMatchObject({ code: 'definition-exists' });
    expect(await readdir(into)).toEqual(['web']);
    expect(await readdir(join(into, 'web'))).toEqual([]);
  });

  it.each(['../x', '/x', '', 'A b', '.', 'a/b', 'x'.repeat(64), 'x\0'])('refuses the name %j', async (name) => {
    await expect(createDefinition({ name, into })).rejects.toMatchObject({ code: 'definition-name' });
    expect(await readdir(into)).toEqual([]);
  });

  it('leaves nothing behind when the original is missing or broken', async () => {
    await mkdir(join(into, 'broken'));
    await writeFile(join(into, 'broken/definition.yaml'), 'a: [');
    await expect(createDefinition({ name: 'web', into, from: join(into, 'broken') })).rejects.toMatchObject({
      code: 'definition-invalid',
    });
    await expect(createDefinition({ name: 'web', into, from: 'none' })).rejects.toMatchObject({
      code: 'definition-not-found',
    });
    expect(await readdir(into)).toEqual(['broken']);
  });

  it('says why it cannot write', async () => {
    await writeFile(join(into, 'file'), '');
    await expect(createDefinition({ name: 'web', into: join(into, 'file') })).rejects.toMatchObject({
      code: 'definition-write',
    });
  });
});
