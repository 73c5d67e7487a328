import { spawnSync } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD_VALUES, type InstallerSource } from '@polyvisor/core';
import { type Definition, loadDefinition } from '@polyvisor/definition';
import { outlineKeystrokes } from '@polyvisor/machine';
import { describe, expect, it } from 'vitest';

const FOLDER = fileURLToPath(new URL('../../../definitions', import.meta.url));
const NAMES = (await readdir(FOLDER)).sort();
/** What those ask for that cannot be built without. */
const GIVEN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'debian-12-customised': { image: 'https://example.org/disk.qcow2' },
};

const load = (name: string, variables = GIVEN[name] ?? {}): Promise<Definition> =>
  loadDefinition(join(FOLDER, name), {
    variables,
    machineArchive: () => Promise.resolve({ mirror: 'http://mirror.example/debian' }),
  });

describe.each(NAMES)('the definition %s', (name) => {
  it('is right and called like its folder', async () => {
    const { appliance } = await load(name);
    expect(appliance.name).toBe(name);
    expect(appliance.description).not.toBe('');
    expect(appliance.guest).toBe('debian');
  });

  it('has scripts that a shell understands, which end at the first failure', async () => {
    for (const { path } of (await load(name)).appliance.scripts) {
      const text = await readFile(path, 'utf8');
      expect(spawnSync('sh', ['-n', path]).status, path).toBe(0);
      expect(text, path).toMatch(/^set -eu$/m);
      expect((await stat(path)).mode & 0o111, path).not.toBe(0);
    }
  });
});

describe('debian-12-installer', () => {
  const sources = async (variables = {}) => (await load('debian-12-installer', variables)).sources as InstallerSource[];

  it('prefers the image that was named, and has the installer of a package else', async () => {
    const sum = `sha256:${'0'.repeat(64)}`;
    const given = await sources({ iso: 'https://example.org/netinst.iso', 'iso-checksum': sum });
    expect(given.map(({ medium }) => medium)).toMatchObject([
      { kind: 'iso', image: { locations: ['https://example.org/netinst.iso'], checksum: sum } },
      { kind: 'netboot', kernel: 'debian-installer/amd64/linux', initrd: 'debian-installer/amd64/initrd.gz' },
    ]);
    expect((await sources())[0]?.medium).toMatchObject({ image: { locations: [] } });
  });

  it('names its answers in what is typed and in the arguments of the kernel', async () => {
    for (const { kernelArguments, typing, answers } of await sources()) {
      expect(kernelArguments).toContain('url=<%= answers %>/preseed.cfg');
      expect(typing.command.join('')).toMatch(/^<esc>.* url=<%= answers %>\/preseed\.cfg .*<enter>$/);
      expect(() => outlineKeystrokes(typing.command, { layout: typing.layout })).not.toThrow();
      expect(answers.http.map((file) => file.name)).toEqual(['preseed.cfg']);
    }
  });

  it('answers in a form that debconf understands, whatever it is told', async () => {
    const [source] = await sources({ mirror: 'https://mirror.example:8443/debian', services: '' });
    const file = source?.answers.http[0];
    const text = await readFile(file?.from ?? '', 'utf8');
    const filled = text.replaceAll(/<%= ([\w-]+) %>/g, (_, name: string) => {
      const value =
        file?.variables[name] ?? ((BUILD_VALUES as readonly string[]).includes(name) ? `value-of-${name}` : undefined);
      expect(value, name).toBeDefined();
      return value ?? '';
    });
    expect(filled).toContain('d-i mirror/https/hostname string mirror.example:8443\n');
    expect(filled).toContain("echo 'value-of-ssh-key' >/target/root/.ssh/authorized_keys");
    const lines = filled
      .replaceAll('\\\n', '')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    for (const line of lines)
      expect(line).toMatch(/^\S+ \S+\/\S+ (?:string|select|multiselect|boolean|password|note)(?: |$)/);
    // Nothing may be asked: the machine has nobody to answer.
    for (const key of ['partman/confirm', 'partman/confirm_nooverwrite', 'debian-installer/exit/poweroff'])
      expect(lines).toContain(`d-i ${key} boolean true`);
  });
});
