import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DefinitionError, type PackageSource } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Definition, loadDefinition, type LoadOptions } from './load.js';

const HEAD = 'name: demo\nversion: 1.0\nsource: {packages: {suite: bookworm}}\n';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8dH2m1oZ1H0kq3m2nYx1bM5pFqk1m7m6vQ9pQe0abc me@here';

let root: string;
let folder: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'definition-')));
  folder = join(root, 'demo');
  await mkdir(folder);
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function put(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function load(text: string, options: LoadOptions = {}): Promise<Definition> {
  await put('definition.yaml', text);
  return loadDefinition(folder, options);
}

/** `line:column message` of every issue; those that are not in the document begin with their file. */
async function problems(text: string | Buffer, options: LoadOptions = {}): Promise<string[]> {
  await writeFile(join(folder, 'definition.yaml'), text);
  const error = await loadDefinition(folder, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return [];
  expect(error).toBeInstanceOf(DefinitionError);
  return (error as DefinitionError).issues.map(({ file, line, column, message }) =>
    file === join(folder, 'definition.yaml')
      ? `${line}:${column} ${message}`
      : `${[file, line, column].filter(Boolean).join(':')} ${message}`,
  );
}

describe('a definition without mistakes', () => {
  it('gets defaults for all that it leaves out', async () => {
    const definition = await load(HEAD);
    expect(definition).toMatchObject({
      path: join(folder, 'definition.yaml'),
      folder,
      targets: [],
      provisioner: undefined,
      sealKeep: [],
      bootCheck: { expect: 'login:', timeout: 180_000 },
      variables: {},
    });
    expect(definition.appliance).toEqual({
      name: 'demo',
      version: '1.0',
      description: '',
      architecture: 'x86_64',
      firmware: ['bios', 'uefi'],
      cpus: 2,
      memory: 2 ** 30,
      guest: 'debian',
      guestVersion: '12',
      hostname: 'demo',
      disk: { size: 4 * 2 ** 30, partitions: [{ label: 'root', mount: '/', filesystem: 'ext4' }] },
      source: { kind: 'packages', distribution: 'debian', suite: 'bookworm', components: ['main'] },
      packages: [],
      kernelArguments: [],
      locale: 'C.UTF-8',
      timezone: 'UTC',
      files: [],
      scripts: [],
      users: [],
      secrets: [],
    });
  });

  it('is resolved in every part', async () => {
    const motd = await put('files/motd', 'hello\n');
    const setup = await put('setup.sh', '#!/bin/sh\n');
    await put('keys/team.pub', `# the team\n\n${KEY}\n`);
    const definition = await load(
      `name: web.server
version: '2'
architecture: x86_64
description: |
  A server.
disk:
  size: 8G
  partitions:
    - {label: root, mount: /}
    - {label: data, mount: /srv/data, size: 2G}
    - {label: swap, filesystem: swap, size: 512M}
firmware: uefi
source:
  packages: {distribution: ubuntu, suite: jammy, components: [main, universe], mirror: 'http://archive.example/ubuntu/'}
packages: [curl, 'g++', 'linux-image-amd64=6.1.1-1', curl]
kernel-arguments: [quiet, 'console=ttyS0,115200n8']
cpus: 4
memory: 2G
locale: de_DE.UTF-8
timezone: Europe/Berlin
files:
  - {from: files/motd, to: /etc/motd, mode: 0644, owner: www-data}
  - {from: files, to: /opt/files}
scripts:
  - setup.sh
  - {path: ./setup.sh, environment: {PORT: 8080, NAME: web}, timeout: 1h30m}
users:
  - {name: admin, password: correct horse, ssh-keys: [{file: keys/team.pub}, '${KEY}', ''], groups: [adm], sudo: true}
seal: {keep: [logs]}
targets: [raw, {format: qcow2, compress: true, cluster-size: 64k}]
provisioner: {id: rootfs, variant: minbase}
boot-check: {expect: 'web login:', timeout: 2m}
`,
      { sealOperations: ['logs', 'machine-id'] },
    );
    const { appliance } = definition;
    expect(appliance).toMatchObject({
      description: 'A server.',
      hostname: 'web-server',
      firmware: ['uefi'],
      guest: 'ubuntu',
      guestVersion: '22.04',
      cpus: 4,
      memory: 2 * 2 ** 30,
      packages: ['curl', 'g++', 'linux-image-amd64=6.1.1-1'],
      kernelArguments: ['quiet', 'console=ttyS0,115200n8'],
      source: { mirror: 'http://archive.example/ubuntu', components: ['main', 'universe'] },
      files: [
        { from: motd, to: '/etc/motd', mode: 0o644, owner: 'www-data:www-data' },
        { from: dirname(motd), to: '/opt/files', owner: 'root:root' },
      ],
      scripts: [
        { name: 'setup.sh', path: setup, environment: {}, timeout: 600_000 },
        { name: './setup.sh', path: setup, environment: { PORT: '8080', NAME: 'web' }, timeout: 5_400_000 },
      ],
      users: [
        {
          name: 'admin',
          password: 'correct horse',
          sshKeys: [KEY, KEY],
          groups: ['adm'],
          sudo: true,
          shell: '/bin/bash',
        },
      ],
      secrets: ['correct horse'],
    });
    expect(appliance.disk.partitions).toEqual([
      { label: 'root', mount: '/', filesystem: 'ext4' },
      { label: 'data', mount: '/srv/data', filesystem: 'ext4', size: 2 * 2 ** 30 },
      { label: 'swap', filesystem: 'swap', size: 512 * 2 ** 20 },
    ]);
    expect(definition.targets).toEqual([
      { id: 'raw', options: {}, path: ['targets', 0] },
      { id: 'qcow2', options: { compress: true, 'cluster-size': '64k' }, path: ['targets', 1] },
    ]);
    expect(definition.provisioner).toEqual({ id: 'rootfs', options: { variant: 'minbase' }, path: ['provisioner'] });
    expect(definition.sealKeep).toEqual(['logs']);
    expect(definition.bootCheck).toEqual({ expect: 'web login:', timeout: 120_000 });
  });

  it('lets the host report problems of plugins at their place', async () => {
    const definition = await load(`${HEAD}targets:\n  - raw\n  - format: qcow2\n    compres: true\n`);
    const path = [...(definition.targets[1]?.path ?? []), 'compres'];
    expect(definition.issueAt(path, 'unknown option', 'see plugins')).toEqual({
      file: definition.file,
      line: 7,
      column: 14,
      message: 'unknown option',
      hint: 'see plugins',
    });
    expect(definition.issueAt(['targets', 0, 'nothing'], 'x')).toMatchObject({ line: 5, column: 5 });
  });

  it('lets the host report problems of plugins together with all others', async () => {
    const found = await problems(
      `${HEAD}cpus: x\ntargets: [vdi, {format: raw, size: '\${size}'}]\nprovisioner: rootfs\n`,
      {
        check: ({ targets, provisioner, issueAt }) => [
          issueAt(targets[0]?.path ?? [], `no format ${targets[0]?.id}`),
          issueAt([...(targets[1]?.path ?? []), 'size'], 'bad only because the variable is'),
          issueAt(provisioner?.path ?? [], 'no rootfs'),
        ],
      },
    );
    expect(found).toEqual([
      '4:7 cpus: "x" is not a whole number from 1 to 512',
      '5:11 no format vdi',
      '5:36 undeclared variable "size"',
      '6:14 no rootfs',
    ]);
  });

  it('may turn the boot check off', async () => {
    expect((await load(`${HEAD}boot-check: false\n`)).bootCheck).toBeUndefined();
  });

  it('gives arm64 UEFI alone', async () => {
    expect((await load(`${HEAD}architecture: arm64\n`)).appliance.firmware).toEqual(['uefi']);
  });
});

describe('mistakes', () => {
  it('are all reported at once, in the order of the file', async () => {
    expect(
      await problems(`name: Demo Server
version: 1.10
source: {packages: {suit: bookworm}}
pakages: [curl]
cpus: lots
scripts:
  - missing.sh
  - path: also-missing.sh
    timeouts: 5m
users:
  - {name: admin, password: '\${pasword}'}
  - {name: admin}
variables:
  password: {secret: true}
`),
    ).toEqual([
      '1:7 name: "Demo Server" is not a name: small letters, digits, "-" and ".", such as debian-12',
      '3:10 missing key "suite" in source.packages',
      '3:21 unknown key "suit" in source.packages; did you mean "suite"?',
      '4:1 unknown key "pakages"; did you mean "packages"?',
      '5:7 cpus: "lots" is not a whole number from 1 to 512',
      '7:5 no file "missing.sh"',
      '8:11 no file "also-missing.sh"',
      '9:5 unknown key "timeouts" in scripts[1]; did you mean "timeout"?',
      '11:29 undeclared variable "pasword"; did you mean "password"?',
      '12:12 user "admin" is given twice',
    ]);
  });

  it('say how many there are, and name the file', async () => {
    await put('definition.yaml', 'name: demo\n');
    await expect(loadDefinition(folder)).rejects.toMatchObject({
      code: 'definition-invalid',
      message: `${join(folder, 'definition.yaml')}: 2 problems`,
    });
  });

  const cases: readonly (readonly [what: string, text: string, ...found: string[]])[] = [
    [
      'missing keys',
      'description: x\n',
      '1:1 missing key "name"',
      '1:1 missing key "version"',
      '1:1 missing key "source"',
    ],
    [
      'an unknown key in camel case',
      `${HEAD}kernelArguments: []\n`,
      '4:1 unknown key "kernelArguments"; did you mean "kernel-arguments"?',
    ],
    ['a key far from all others', `${HEAD}zzzzzz: 1\n`, '4:1 unknown key "zzzzzz"'],
    ['text where a list belongs', `${HEAD}packages: curl\n`, '4:11 packages: expected a list, found "curl"'],
    ['nothing where a list belongs', `${HEAD}packages:\n`, '4:10 packages: expected a list, found nothing'],
    [
      'a number where text belongs',
      `${HEAD}hostname: 12\n`,
      '4:11 hostname: expected text, found the number 12 (quotes make it text)',
    ],
    [
      'a list where a word belongs',
      `${HEAD}architecture: [x86_64]\n`,
      '4:15 architecture: a list is none of x86_64, arm64',
    ],
    [
      'a near miss of a word',
      `${HEAD}architecture: x86-64\n`,
      '4:15 architecture: "x86-64" is none of x86_64, arm64; did you mean "x86_64"?',
    ],
    ['a wrong firmware', `${HEAD}firmware: efi\n`, '4:11 firmware: "efi" is none of bios, uefi; did you mean "uefi"?'],
    [
      'a firmware of no fitting type',
      `${HEAD}firmware: 3\n`,
      '4:11 firmware: expected one of bios, uefi or a list, found the number 3',
    ],
    [
      'a BIOS for arm64',
      `${HEAD}architecture: arm64\nfirmware: [bios]\n`,
      '5:11 arm64 machines have no BIOS; write firmware: uefi',
    ],
    [
      'a size without sense',
      `${HEAD}disk: {size: big}\n`,
      '4:14 disk.size: not a size: "big"; write a number with M, G or T, such as 4G',
    ],
    [
      'a size that is no whole MiB',
      `${HEAD}memory: 1000000000\n`,
      '4:9 memory: 1000000000 is not a whole number of MiB; sizes are written with M, G or T, such as 4G',
    ],
    [
      'a size beyond the limits',
      `${HEAD}disk: {size: 1000T}\n`,
      '4:14 disk.size: "1000T" is not between 64 MiB and 64 TiB',
    ],
    [
      'a duration without unit',
      `${HEAD}boot-check: {timeout: '5'}\n`,
      '4:23 boot-check.timeout: "5" is not a duration; write such as 90s, 10m or 1h',
    ],
    [
      'a mode that is not octal',
      `${HEAD}files: [{from: definition.yaml, to: /x, mode: 0999}]\n`,
      '4:47 files[0].mode: "0999" is not a file mode; write three or four octal digits, such as 0644',
    ],
    [
      'a guest path that climbs',
      `${HEAD}files: [{from: definition.yaml, to: /a/../b}]\n`,
      '4:37 files[0].to: "/a/../b" is not an absolute path in the guest, such as /etc/motd, without "..", "//", spaces or quotes',
    ],
    [
      'an argument with a shell character',
      `${HEAD}kernel-arguments: ['a$(b)']\n`,
      '4:20 kernel-arguments[0]: "a$(b)" is not one argument without spaces, quotes or shell characters',
    ],
    [
      'an option of apt as a package',
      `${HEAD}packages: ['-o', 'a b']\n`,
      '4:12 packages[0]: "-o" is not the name of a package, such as openssh-server',
      '4:18 packages[1]: "a b" is not the name of a package, such as openssh-server',
    ],
    [
      'an unknown time zone',
      `${HEAD}timezone: Europe/Pariss\n`,
      '4:11 unknown time zone "Europe/Pariss"; did you mean "Europe/Paris"?',
    ],
    [
      'a time zone in small letters',
      `${HEAD}timezone: europe/paris\n`,
      '4:11 unknown time zone "europe/paris"; did you mean "Europe/Paris"?',
    ],
    [
      'a mirror that is no address',
      'name: a\nversion: 1\nsource: {packages: {suite: sid, mirror: "cdrom:"}}\n',
      '3:41 the mirror is not an address that begins with http://, https:// or file://',
    ],
    ['a source of no kind', 'name: a\nversion: 1\nsource: {}\n', '3:9 source: name what the system is made from'],
    ['a target without its format', `${HEAD}targets: [{compress: true}]\n`, '4:11 missing key "format" in targets[0]'],
    [
      'a private key',
      `${HEAD}users: [{name: a, ssh-keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']}]\n`,
      '4:30 this is a private key; give the public one, whose file ends in .pub',
    ],
    [
      'an unknown sealing step',
      `${HEAD}seal: {keep: [log]}\n`,
      '4:15 unknown sealing step "log"; did you mean "logs"?',
    ],
    [
      'a script without an interpreter',
      `${HEAD}scripts: [definition.yaml]\n`,
      '4:11 the first line of "definition.yaml" names no interpreter',
    ],
    ['a script that is a directory', `${HEAD}scripts: ['.']\n`, '4:11 "." is a directory; a file is needed'],
    [
      'a name that is no host name',
      'name: a.-b\nversion: 1\nsource: {packages: {suite: sid}}\nhostname: a_b\n',
      '4:11 hostname: "a_b" is not a host name: at most 63 letters, digits and hyphens',
    ],
    [
      'the name of a variable',
      `${HEAD}variables: {a.b: {}}\n`,
      '4:13 "a.b" is not the name of a variable: letters, digits, "_" and "-"',
    ],
    [
      'a bad environment name',
      `${HEAD}scripts: [{path: definition.yaml, environment: {A B: c}}]\n`,
      '4:18 the first line of "definition.yaml" names no interpreter',
      '4:49 scripts[0].environment: "A B" is not the name of an environment variable',
    ],
    [
      'partitions that do not fit together',
      `${HEAD}disk:\n  size: 1G\n  partitions:\n    - {label: data, mount: /data, size: 2G}\n    - {label: data, mount: /data}\n    - {label: swap, filesystem: swap, mount: /swap}\n`,
      '7:5 no partition is mounted on /',
      '7:5 the partitions need 2 GiB and room for a boot loader, the disk has 1 GiB',
      '8:15 label "data" is given twice',
      '8:28 two partitions are mounted on /data',
      '9:7 only one partition may go without a size',
      '9:46 swap is not mounted; leave "mount" out',
    ],
  ];
  it.each(cases)('%s', async (_what, text, ...found) => {
    expect(await problems(text, { sealOperations: ['logs', 'machine-id'] })).toEqual(found);
  });

  it('in the YAML itself stand beside those in what comes before them', async () => {
    expect(await problems(`naem: demo\nversion: 1\nsource: {packages: {suite: sid}\ncpus: x\n`)).toEqual([
      '1:1 unknown key "naem"; did you mean "name"?',
      expect.stringMatching(/^\d:\d+ not YAML: /),
    ]);
  });

  it('with ${…} in brackets get a hint', async () => {
    await put('definition.yaml', `${HEAD}packages: [\${x}]\n`);
    const error = await loadDefinition(folder).catch((reason: unknown) => reason as DefinitionError);
    expect((error as DefinitionError).issues.map((issue) => issue.hint)).toContain(
      'inside [ ] and { } put quotes around text with ${…}',
    );
  });

  it('twice the same key names both places, and what else is wrong', async () => {
    expect(await problems(`${HEAD}cpus: 1\ncpus: 2\nmemory: x\n`)).toEqual([
      '5:1 key "cpus" is given twice; the first is in line 4',
      '6:9 memory: not a size: "x"; write a number with M, G or T, such as 4G',
    ]);
  });
});

describe('variables', () => {
  const text = `${HEAD}hostname: \${host}-\${nr}\nvariables:\n  host: {default: web}\n  nr:\n`;

  it('come from the definition, the environment, files and the command line, the later winning', async () => {
    const yaml = await put('vars.yaml', 'nr: 007\n');
    const lines = await put('vars.env', '# comment\nexport host="from file"\nhost=filehost\n');
    const environment = { POLYVISOR_VAR_nr: '1', POLYVISOR_VAR_host: 'env', POLYVISOR_VAR_other: 'ignored', nr: '9' };
    const hostname = async (options: LoadOptions) => (await load(text, options)).appliance.hostname;
    expect(await hostname({ environment: { POLYVISOR_VAR_nr: '1' } })).toBe('web-1');
    expect(await hostname({ environment })).toBe('env-1');
    expect(await hostname({ environment, variableFiles: [yaml] })).toBe('env-007');
    expect(await hostname({ environment, variableFiles: [yaml, lines] })).toBe('filehost-007');
    expect(await hostname({ environment, variableFiles: [yaml, lines], variables: { nr: '5' } })).toBe('filehost-5');
  });

  it('that have no value are reported where they are used', async () => {
    expect(await problems(text)).toEqual(['4:11 variable "nr" has no value']);
  });

  it('that only scripts use are asked for when required', async () => {
    expect(await problems(`${HEAD}variables:\n  token: {required: true}\n`)).toEqual([
      '5:3 variable "token" has no value',
    ]);
  });

  it('that the definition does not declare are refused, wherever they were given', async () => {
    const lines = await put('vars.env', 'x=1\n  hosst=a\n');
    const yaml = await put('vars.yaml', 'nr: 1\nnrr: 2\nlist: []\n');
    expect(await problems(text, { variables: { hsot: 'a' }, variableFiles: [lines, yaml] })).toEqual([
      '--var hsot the definition declares no variable "hsot"; did you mean "host"?',
      `${lines}:1:1 the definition declares no variable "x"`,
      `${yaml}:2:1 the definition declares no variable "nrr"; did you mean "nr"?`,
      `${lines}:2:3 the definition declares no variable "hosst"; did you mean "host"?`,
      `${yaml}:3:7 list: expected text, found a list or mapping`,
    ]);
  });

  it('reach every script, below its own environment', async () => {
    await put('a.sh', '#!/bin/sh\n');
    const { appliance } = await load(
      `${HEAD}scripts:\n  - a.sh\n  - {path: a.sh, environment: {B: own, C: '\${A}!'}}\nvariables: {A: {default: 1.50}, B: {default: shared}, N: {}}\n`,
    );
    expect(appliance.scripts.map((script) => script.environment)).toEqual([
      { A: '1.50', B: 'shared' },
      { A: '1.50', B: 'own', C: '1.50!' },
    ]);
  });

  it('may have hyphens, which environments write as "_"', async () => {
    await put('a.sh', '#!/bin/sh\n');
    const text = `${HEAD}description: \${ssh-key}\nscripts: [a.sh]\nvariables: {ssh-key: {}}\n`;
    const { appliance } = await load(text, { environment: { POLYVISOR_VAR_ssh_key: 'k' } });
    expect(appliance.description).toBe('k');
    expect(appliance.scripts[0]?.environment).toEqual({ ssh_key: 'k' });
    expect(await problems(`${HEAD}variables: {a-b: {}, a_b: {}}\n`)).toEqual([
      '4:22 variables "a-b" and "a_b" have the same name in the environment of scripts',
    ]);
  });

  it('serve as numbers, booleans and sizes, and as typed options of plugins', async () => {
    const definition = await load(
      `${HEAD}cpus: \${n}\nmemory: \${size}\nusers: [{name: a, sudo: '\${yes}'}]\n` +
        `targets:\n  - format: qcow2\n    compress: \${yes}\n    level: \${n}\n    text: "\${n}"\n    zip: \${zip}\n` +
        `variables: {n: {default: 3}, size: {default: 3G}, yes: {default: true}, zip: {default: 01234}}\n`,
    );
    expect(definition.appliance).toMatchObject({ cpus: 3, memory: 3 * 2 ** 30, users: [{ sudo: true }] });
    expect(definition.targets[0]?.options).toEqual({ compress: true, level: 3, text: '3', zip: '01234' });
  });

  it('keep their values as they are', async () => {
    const value = '<b>&amp; ${nr} $${x} "q" \\n {{x}} <%= 1 %> `id` $(id)';
    const { appliance } = await load(`${HEAD}description: "\${v} and $\${literal} and $HOME"\nvariables: {v: {}}\n`, {
      variables: { v: value },
    });
    expect(appliance.description).toBe(`${value} and \${literal} and $HOME`);
  });

  it('in broken spelling are reported', async () => {
    expect(await problems(`${HEAD}description: 'a \${ b \${x y} \${}'\n`)).toEqual([
      '4:14 "${" is not a variable',
      '4:14 "${x y}" is not a variable',
      '4:14 "${}" is not a variable',
    ]);
  });

  it('set the mirror without being declared', async () => {
    const mirror = async (source: string, options: LoadOptions = {}) =>
      (
        (await load(`name: a\nversion: 1\nsource: {packages: {suite: sid${source}}}\n`, options)).appliance
          .source as PackageSource
      ).mirror;
    expect(await mirror('')).toBeUndefined();
    expect(await mirror(', mirror: "${mirror}"')).toBeUndefined();
    expect(await mirror(', mirror: "http://a.example/"')).toBe('http://a.example');
    expect(await mirror(', mirror: "http://a.example"', { variables: { mirror: 'http://b.example' } })).toBe(
      'http://b.example',
    );
    expect(await mirror('', { environment: { POLYVISOR_VAR_mirror: 'http://c.example' } })).toBe('http://c.example');
  });
});

describe('secrets', () => {
  it('are the values of secret variables, passwords and passwords in addresses', async () => {
    const { appliance, variables } = await load(
      `${HEAD}users: [{name: a, password: hunter22}, {name: b, password: '\${p}'}]\nvariables: {p: {secret: true}, t: {default: token-1, secret: true}, o: {default: x}}\n`,
      { variables: { p: 's3cr3t', mirror: 'http://me:pass%20word@h.example/' } },
    );
    expect([...appliance.secrets].sort()).toEqual(['hunter22', 'pass word', 'pass%20word', 's3cr3t', 'token-1']);
    expect(variables).toEqual({ mirror: 'http://me:pass%20word@h.example/', o: 'x' });
  });

  it('never appear in a message', async () => {
    const found = await problems(
      `${HEAD}hostname: \${p}\ncpus: \${p}\nscripts: ['\${p}']\nusers: [{name: a, password: hidden-1, shell: hidden-1}]\ntimezone: hidden-1\nvariables: {p: {secret: true}}\n`,
      { variables: { p: 'not a host name' } },
    );
    expect(found).toHaveLength(5);
    expect(found.join('\n')).not.toMatch(/not a host name|hidden-1/);
    expect(found).toContain('5:7 cpus: "***" is not a whole number from 1 to 512');
  });

  it('that are too short to hide are refused', async () => {
    expect(await problems(`${HEAD}variables: {p: {secret: true, default: ab}}\n`)).toEqual([
      '4:13 the secret "p" is shorter than 3 characters and could not be hidden',
    ]);
  });

  it('do not include a password that repeats a name that everyone sees', async () => {
    const { appliance } = await load(
      `${HEAD}users: [{name: tester, password: tester}, {name: root, password: demo}]\n`,
    );
    expect(appliance.secrets).toEqual([]);
  });
});

describe('files of the machine', () => {
  const outside = '"../secret" is outside of the definition\'s folder';

  it('outside of the folder are out of reach, also through a link', async () => {
    await writeFile(join(root, 'secret'), 'x');
    await symlink('../secret', join(folder, 'link'));
    expect(
      await problems(
        `${HEAD}files:\n  - {from: ../secret, to: /a}\n  - {from: link, to: /b}\n  - {from: /etc/shadow, to: /c}\n  - {from: ../no-such, to: /d}\n`,
      ),
    ).toEqual([
      `5:12 ${outside}`,
      '6:12 "link" is outside of the definition\'s folder',
      '7:12 "/etc/shadow" is outside of the definition\'s folder',
      '8:12 "../no-such" is outside of the definition\'s folder',
    ]);
  });

  it('may be named by a variable that the user sets, and by nothing else', async () => {
    const site = join(root, 'site');
    await mkdir(site);
    await writeFile(join(site, 'a.conf'), 'x');
    await writeFile(join(root, 'secret'), 'x');
    const text = (from: string, fallback = '') =>
      `${HEAD}files: [{from: '${from}', to: /a}]\nvariables: {site: {${fallback}}, empty: {default: ''}}\n`;
    const given = { variables: { site } };
    expect((await load(text('${site}/a.conf'), given)).appliance.files[0]?.from).toBe(join(site, 'a.conf'));
    expect((await load(text('${site}'), given)).appliance.files[0]?.from).toBe(site);
    expect(await problems(text('${site}/../secret'), given)).toHaveLength(1);
    expect(await problems(text('${site}a.conf'), { variables: { site: `${site}/` } })).toEqual([]);
    expect(await problems(text('${site}secret'), { variables: { site: `${root}/s` } })).toHaveLength(1);
    expect(await problems(text('${site}/a.conf', `default: ${site}`))).toHaveLength(1);
    expect(await problems(text('/${empty}etc/passwd'))).toHaveLength(1);
  });

  it('that are missing are reported with a guess', async () => {
    await put('setup.sh', '#!/bin/sh\n');
    expect(await problems(`${HEAD}scripts: [setpu.sh]\n`)).toEqual([
      '4:11 no file "setpu.sh"; did you mean "setup.sh"?',
    ]);
  });
});

describe('hostile documents', () => {
  it('with aliases of aliases end soon', async () => {
    const levels = Array.from(
      { length: 20 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(9).fill(`*l${level}`).join(', ')}]`,
    );
    const started = performance.now();
    const found = await problems(`${HEAD}l0: &l0 [x]\n${levels.join('\n')}\n`);
    expect(found.join('\n')).toContain('more than 20000 values, counting those that aliases repeat');
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('with an alias of itself, or of nothing', async () => {
    expect((await problems(`${HEAD}packages: &a [*a]\n`)).join('\n')).toContain('nested more than 32 levels deep');
    expect(await problems(`${HEAD}packages: *b\n`)).toEqual([expect.stringContaining('4:11 ')]);
  });

  it('that use aliases as intended are read', async () => {
    const { appliance } = await load(`${HEAD}packages: &list [a1, b1]\nkernel-arguments: *list\n`);
    expect(appliance.kernelArguments).toEqual(['a1', 'b1']);
  });

  it('that are too large, not UTF-8, empty or binary', async () => {
    expect(await problems(`${HEAD}# ${'x'.repeat(300_000)}`)).toEqual([
      expect.stringContaining('at most 262144 are read'),
    ]);
    expect(await problems(Buffer.from([0x6e, 0xff, 0xfe]))).toEqual([
      expect.stringContaining('the file is not text in UTF-8'),
    ]);
    expect(await problems('  \n')).toEqual(['1:1 the file is empty']);
    expect(await problems('# nothing\n')).toEqual(['1:1 expected keys with values, such as name: my-appliance']);
    expect(await problems('just text')).toEqual(['1:1 expected keys with values, such as name: my-appliance']);
    expect(await problems(`name: a\nversion: \0\n`)).toEqual([
      '2:10 control character 0x00; a definition is plain text',
    ]);
    expect(await problems(`${HEAD}description: "a\\0b"\n`)).toEqual(['4:14 text with a NUL character']);
  });

  it('with tags, merge keys, several documents and directives', async () => {
    expect((await problems(`${HEAD}description: !!js/function "x"\n`))[0]).toMatch(/^4:14 tags are not allowed/);
    expect(await problems(`${HEAD}<<: {cpus: 2}\n`)).toEqual(['4:1 unknown key "<<"']);
    expect((await problems(`${HEAD}---\n${HEAD}`))[0]).toMatch(/^4:1 not YAML: /);
    expect(await problems(`%YAML 1.1\n---\n${HEAD}boot-check: yes\n`)).toEqual([
      expect.stringMatching(/^6:13 boot-check: /),
    ]);
  });

  it('with keys that mean something to JavaScript', async () => {
    expect(await problems(`${HEAD}__proto__: {polluted: 1}\nconstructor: {prototype: {polluted: 1}}\n`)).toEqual([
      '4:1 unknown key "__proto__"',
      '5:1 unknown key "constructor"',
    ]);
    expect(
      await problems(
        `${HEAD}targets: [{format: raw, __proto__: 1}]\nvariables: {__proto__: {}, toString: {default: a}}\nhostname: '\${valueOf}'\n`,
      ),
    ).toEqual(['4:25 unknown key "__proto__"', '5:13 unknown key "__proto__"', '6:11 undeclared variable "valueOf"']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('with keys that are no words', async () => {
    expect(await problems(`${HEAD}? [a]\n: b\n`)).toContain('4:3 a key must be a word');
    expect(await problems(`${HEAD}: b\n`)).toEqual(['4:1 a key must be a word']);
  });

  it.each([
    ['nesting', `a: ${'['.repeat(100_000)}`],
    ['nested mappings', `a: ${'{a: '.repeat(50_000)}`],
    ['nested indentation', Array.from({ length: 600 }, (_, level) => `${' '.repeat(level)}a:`).join('\n')],
    ['many keys', `packages: {${Array.from({ length: 20_001 }, (_, index) => index.toString(36)).join(', ')}}`],
    ['many aliases', `a: &a x\nb: [${Array(20_001).fill('*a').join(',')}]`],
    ['many anchors', Array.from({ length: 5_000 }, (_, index) => `k${index}: &a${index} x`).join('\n')],
    ['many long unknown keys', Array.from({ length: 200 }, (_, index) => `${'k'.repeat(1000)}${index}: 1`).join('\n')],
    ['many commas', `a: [${','.repeat(50_000)}`],
    ['many anchors on one value', `a: ${'&a '.repeat(20_000)}`],
    ['many brackets', `a: ${']'.repeat(50_000)}`],
    ['nested dashes', `a:\n  ${'- '.repeat(100_000)}`],
    ['many broken variables', `description: "${'${'.repeat(20_000)}"`],
    ['many backslashes', `description: "${'\\\\'.repeat(100_000)}"`],
    ['a long host name', `hostname: ${'a-'.repeat(100_000)}`],
    ['a long path', `files: [{from: x, to: '${'/a.'.repeat(20_001)} '}]`],
    ['a long key line', `users: [{name: a, ssh-keys: ['${'ssh-rsa '.repeat(30_000)}']}]`],
    ['a long name', `name: ${'a.'.repeat(100_000)}!`],
    ['a long duration', `boot-check: {timeout: ${'9s'.repeat(100_000)}x}`],
  ])('with %s are refused in time', async (_what, text) => {
    const started = performance.now();
    expect(
      (await problems(`${HEAD.replace(/^name.*\n/, text.startsWith('name') ? '' : '$&')}${text}\n`)).length,
    ).toBeGreaterThan(0);
    expect(performance.now() - started).toBeLessThan(8000);
  });
});
