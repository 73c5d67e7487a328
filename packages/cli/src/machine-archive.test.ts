import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { machineArchive } from './machine-archive.js';

let etc: string;

beforeEach(async () => {
  etc = await mkdtemp(join(tmpdir(), 'apt-'));
  await mkdir(join(etc, 'sources.list.d'));
});
afterEach(() => rm(etc, { recursive: true, force: true }));

/** An apt-config that says this; without it, there is none. */
const context = (stdout?: string) => ({
  run: () =>
    stdout === undefined ? Promise.reject(new Error('no apt')) : Promise.resolve({ exitCode: 0, stdout, stderr: '' }),
});

it('is what the lines of sources.list say, other archives left out', async () => {
  await writeFile(
    join(etc, 'sources.list'),
    '# deb http://off.example/debian x main\ndeb cdrom:[x]/ x main\ndeb-src http://src.example/debian x main\n' +
      'deb http://security.example/debian-security x main\ndeb [arch=amd64 signed-by=/x] http://near.example/debian/ x main\n',
  );
  expect(await machineArchive(context(), {}, etc)).toEqual({ mirror: 'http://near.example/debian/' });
});

it('is what the paragraphs of other files say, those that are switched off left out', async () => {
  await writeFile(
    join(etc, 'sources.list.d/a.sources'),
    'Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: x\n',
  );
  await writeFile(
    join(etc, 'sources.list.d/b.sources'),
    'Types: deb-src\nURIs: http://src.example/debian\n\n# deb\nTypes: deb deb-src\n# between\nURIs:\n http://vendor.example/apt\n https://near.example/debian\nSuites: x\n',
  );
  await writeFile(join(etc, 'sources.list.d/c.bak'), 'deb http://bak.example/debian x main\n');
  expect(await machineArchive(context(), {}, etc)).toEqual({ mirror: 'https://near.example/debian' });
});

it('has the proxy of apt, else that of the environment', async () => {
  const env = { http_proxy: 'http://env.example:3128' };
  const proxy = async (stdout?: string) => (await machineArchive(context(stdout), env, etc)).proxy;
  expect(await proxy('Acquire::http::Proxy "http://apt.example:3142"\n')).toBe('http://apt.example:3142');
  expect(await proxy('Acquire::http::Proxy "DIRECT"\n')).toBeUndefined();
  expect(await proxy('APT::x "y"\n')).toBe('http://env.example:3128');
  expect(await proxy()).toBe('http://env.example:3128');
});
