import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { DefinitionError } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findDefinition, listDefinitions } from './find.js';

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'find-')));
  for (const folder of ['one/web', 'one/mail', 'two/web', 'two/empty'])
    await mkdir(join(root, folder), { recursive: true });
  for (const folder of ['one/web', 'one/mail', 'two/web']) await writeFile(join(root, folder, 'definition.yaml'), '');
  await writeFile(join(root, 'other.yaml'), '');
});

afterEach(() => rm(root, { recursive: true, force: true }));

const folders = () => [join(root, 'one'), join(root, 'two'), join(root, 'none')];

describe('findDefinition', () => {
  it('takes a file, a folder or a name, the first folder winning', async () => {
    expect((await findDefinition(join(root, 'other.yaml'))).path).toBe(join(root, 'other.yaml'));
    expect((await findDefinition(join(root, 'two/web'))).path).toBe(join(root, 'two/web/definition.yaml'));
    expect((await findDefinition('web', folders())).path).toBe(join(root, 'one/web/definition.yaml'));
    expect((await findDefinition(relative(process.cwd(), join(root, 'two/web')))).path).toBe(
      join(root, 'two/web/definition.yaml'),
    );
  });

  it('says what it looked for, what there is and what may have been meant', async () => {
    const error = await findDefinition('wbe', folders()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DefinitionError);
    expect(error).toMatchObject({ code: 'definition-not-found', message: 'no definition "wbe"; did you mean "web"?' });
    expect((error as DefinitionError).hint).toContain(join(root, 'two/wbe/definition.yaml'));
    expect((error as DefinitionError).hint).toContain('known: mail, web');
  });

  it.each(['', 'a\0b', 'empty', './web', 'web.yaml', '../one/web'])('does not find %j', async (argument) => {
    await expect(findDefinition(argument, folders())).rejects.toMatchObject({ code: 'definition-not-found' });
  });
});

describe('listDefinitions', () => {
  it('names each once, sorted', async () => {
    expect(await listDefinitions(folders())).toEqual([
      { name: 'mail', path: join(root, 'one/mail/definition.yaml') },
      { name: 'web', path: join(root, 'one/web/definition.yaml') },
    ]);
  });
});
