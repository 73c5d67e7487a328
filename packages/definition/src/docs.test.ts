import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadDefinition } from './load.js';
import { definitionDocument } from './schema.js';

const PAGE = await readFile(join(import.meta.dirname, '../../../docs/definitions.md'), 'utf8');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'docs-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe('docs/definitions.md', () => {
  it('has an example that is right', async () => {
    const example = /```yaml\n([^]*?)```/.exec(PAGE)?.[1] ?? '';
    const files = {
      'definition.yaml': example,
      'keys/admin.pub': `ssh-ed25519 ${'A'.repeat(68)} admin\n`,
      'files/site/index.html': '',
      'files/motd': '',
      'scripts/nginx.sh': '#!/bin/sh\n',
      'scripts/certificate.sh': '#!/bin/sh\n',
    };
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), content);
    }
    const { appliance } = await loadDefinition(folder);
    expect(appliance).toMatchObject({
      name: 'web',
      version: '1.0.0',
      scripts: [{}, { environment: { DAYS: '30', domain: 'localhost' } }],
    });
  });

  it('explains every key', () => {
    const table = PAGE.slice(PAGE.indexOf('## Keys'), PAGE.indexOf('## Variables'));
    for (const key of Object.keys(definitionDocument.shape)) expect(table).toMatch(new RegExp(`\`${key}[\`.]`));
  });
});
