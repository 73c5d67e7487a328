import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DefinitionError, type DiskSourceImage, type InstallerSource } from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { definitionInputs } from './inputs.js';
import { type Definition, loadDefinition, type LoadOptions } from './load.js';

const SHA = `sha256:${'0123456789abcdef'.repeat(4)}`;

let root: string;
let folder: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'sources-')));
  folder = join(root, 'demo');
  await put('preseed.cfg', 'd-i url string <%= answers %>\n');
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function put(name: string, content = 'x'): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function load(source: string, options: LoadOptions = {}): Promise<Definition> {
  await put('definition.yaml', `name: demo\nversion: 1\n${source}`);
  return loadDefinition(folder, options);
}

/** `line:column message` of every issue, `file:` before those of other files. */
async function problems(source: string, options: LoadOptions = {}): Promise<string[]> {
  const error = await load(source, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return [];
  expect(error).toBeInstanceOf(DefinitionError);
  return (error as DefinitionError).issues.map(({ file, line, column, message }) =>
    file.endsWith('definition.yaml')
      ? `${line}:${column} ${message}`
      : `${file.split('/').pop()}:${line}:${column} ${message}`,
  );
}

const iso = (extra = '', ssh = '') => `source:
  installer:
    medium:
      iso: { from: 'https://example.org/a.iso', checksum: '${SHA}', kernel: install.amd/vmlinuz, initrd: install.amd/initrd.gz }
    answers: { http: { preseed.cfg: preseed.cfg } }
${extra === '' ? '' : `    ${extra}\n`}${ssh === '' ? '' : `    ssh: ${ssh}\n`}`;

const disk = (from: string, checksum = 'none', rest = '') =>
  `source: { disk: { image: { from: '${from}', checksum: '${checksum}' }${rest} } }\n`;

const image = ({ appliance: { source } }: Definition) => (source as DiskSourceImage).image;

describe('an installer', () => {
  it('gets defaults for all that it leaves out', async () => {
    const { appliance, sources } = await load(iso());
    expect(sources).toEqual([appliance.source]);
    expect(appliance).toMatchObject({ guest: 'linux', guestVersion: '', secrets: [] });
    expect(appliance.source).toEqual({
      kind: 'installer',
      medium: {
        kind: 'iso',
        image: { locations: ['https://example.org/a.iso'], checksum: SHA },
        kernel: 'install.amd/vmlinuz',
        initrd: 'install.amd/initrd.gz',
      },
      start: 'auto',
      kernelArguments: [],
      typing: { wait: 10_000, command: [], layout: 'us' },
      answers: { http: [{ name: 'preseed.cfg', from: join(folder, 'preseed.cfg'), template: true, variables: {} }] },
      access: { user: 'root', port: 22, timeout: 600_000, become: 'none' },
      limits: { fetch: 180_000, install: 3_600_000 },
    });
  });

  it('is resolved in every part', async () => {
    const userData = await put('seed/user-data', '#cloud-config\n');
    const { appliance } = await load(
      `source:
  - installer:
      medium: { iso: { from: ['', isos/a.iso, 'https://u:s3cr3t@example.org/a.iso'], checksum: ${SHA.toUpperCase()} } }
      start: typed
      kernel-arguments: [auto=true, 'url=<%= answers %>/preseed.cfg', 'host=\${host}']
      boot-command: ['<esc>', 'auto url=<%= answers %>/preseed.cfg <%= name %>%IP%{{ .HTTPPort }}<enter>']
      boot-wait: 5s
      keyboard: de
      key-interval: 50ms
      answers:
        http: { preseed.cfg: preseed.cfg, debian/late.sh: { file: preseed.cfg, template: false } }
        seed: { label: OEMDRV, filesystem: fat, files: { user-data: seed/user-data } }
      ssh: { user: me, password: 1234, port: 2222, timeout: 2m, become: su, shutdown: systemctl poweroff }
      limits: { fetch: 1m, install: 2h }
guest: { system: debian, version: 12.10 }
variables: { host: { default: web }, name: { default: taken }, empty: {} }
`,
    );
    expect(appliance).toMatchObject({ guest: 'debian', guestVersion: '12.10' });
    expect([...appliance.secrets].sort()).toEqual(['1234', 's3cr3t']);
    const source = appliance.source as InstallerSource;
    expect(source).toMatchObject({
      medium: {
        image: { locations: [join(folder, 'isos/a.iso'), 'https://u:s3cr3t@example.org/a.iso'], checksum: SHA },
      },
      start: 'typed',
      kernelArguments: ['auto=true', 'url=<%= answers %>/preseed.cfg', 'host=web'],
      typing: { wait: 5000, layout: 'de', interval: 50 },
      access: {
        user: 'me',
        password: '1234',
        port: 2222,
        timeout: 120_000,
        become: 'su',
        shutdown: 'systemctl poweroff',
      },
      limits: { fetch: 60_000, install: 7_200_000 },
    });
    expect(source.typing.command[1]).toContain('<%= answers %>/preseed.cfg <%= name %>%IP%{{ .HTTPPort }}');
    // A variable with the name of a build's value does not reach the files.
    expect(source.answers.http[0]).toMatchObject({ template: true, variables: { host: 'web' } });
    expect(source.answers.http[1]).toMatchObject({ name: 'debian/late.sh', template: false, variables: {} });
    expect(source.answers.seed).toMatchObject({
      label: 'OEMDRV',
      filesystem: 'fat',
      files: [{ name: 'user-data', from: userData }],
    });
  });

  const cases: readonly (readonly [what: string, text: string, ...found: string[]])[] = [
    [
      'unknown keys at every depth',
      iso('boot-comand: []', '{usr: root}').replace('kernel:', 'kernl:'),
      '6:12 "kernel" is missing; a direct start needs both',
      '6:134 unknown key "kernl" in source.installer.medium.iso; did you mean "kernel"?',
      '8:5 unknown key "boot-comand" in source.installer; did you mean "boot-command"?',
      '9:11 unknown key "usr" in source.installer.ssh; did you mean "user"?',
    ],
    ['a wrong start', iso('start: network'), '8:12 source.installer.start: "network" is none of auto, direct, typed'],
    ['no way to start', iso().replace(/, kernel.*gz }/, ' }'), '5:5 there is no way to start it'],
    [
      'a direct start without a kernel',
      iso('start: direct').replace(/, kernel.*gz }/, ' }'),
      '8:12 a direct start needs the "kernel" and the "initrd" of the medium',
    ],
    ['a typed start without a command', iso('start: typed'), '5:5 a typed start needs a "boot-command"'],
    ['a kernel alone', iso().replace(/, initrd.*gz }/, ' }'), '6:12 "initrd" is missing; a direct start needs both'],
    [
      'two media',
      iso().replace(/iso: (.*) }\n/, 'iso: $1 }\n      netboot: { directory: x }\n'),
      '6:7 name one medium: either "iso" or "netboot"',
    ],
    [
      'a user who is not root',
      iso('', '{user: me, become: none}'),
      '8:29 the user "me" is not root; write become: sudo or su',
    ],
    ['a short password', iso('', '{password: ab}'), '8:21 a password must be one line of at least 3 characters'],
    [
      'values that nobody has in commands',
      iso(`boot-command: ['<%= anwers %> <%= ssh-key %>', '<% exit %>', '<%= v %>', '<%% <%= name']`).concat(
        'variables: {v: {default: a}}\n',
      ),
      '8:20 there is no value "anwers"; did you mean "answers"?',
      '8:52 "<% exit %>" is not a value',
      '8:66 "v" is a variable; write ${v} here',
      '8:78 "<%" is not a value',
    ],
    [
      'an address of nothing',
      iso(`kernel-arguments: ['url=<%= answers %>/x']`).replace(/ {4}answers.*\n/, ''),
      '7:24 "answers" is the address of nothing: no files are given under answers.http',
    ],
    [
      'names that climb',
      iso().replace('{ preseed.cfg:', '{ a/../../b:'),
      '7:24 source.installer.answers.http: "a/../../b" is not the name of a file for the guest, such as preseed.cfg or debian/preseed.cfg',
    ],
    [
      'a missing answer file',
      iso().replace(': preseed.cfg }', ': preseed.cgf }'),
      '7:37 no file "preseed.cgf"; did you mean "preseed.cfg"?',
    ],
    [
      'an answer file from outside',
      iso().replace(': preseed.cfg }', ': /etc/shadow }'),
      '7:37 "/etc/shadow" is outside of the definition\'s folder',
    ],
  ];
  it.each(cases)('%s', async (_what, text, ...found) => {
    expect(await problems(text)).toEqual(found);
  });
});

describe('templates', () => {
  it('are checked now, with the place in the file', async () => {
    await put(
      'preseed.cfg',
      '# ok <%= answers-host %> <%% <%=v%>\na <%= hostnam %>\n  <%= empty %> <% run() %> <%= name %>\n<%= unclosed',
    );
    expect(await problems(`${iso()}variables: {v: {default: a}, empty: {}, name: {default: b}}\n`)).toEqual([
      'preseed.cfg:2:3 there is no value "hostnam"; did you mean "hostname"?',
      'preseed.cfg:3:3 "empty" has no value',
      'preseed.cfg:3:16 "<% run() %>" is not a value',
      'preseed.cfg:3:28 "name" is a value of the build here, and a variable of the definition',
      'preseed.cfg:4:1 "<%" is not a value',
    ]);
  });

  it('must be text, unless they are none', async () => {
    await writeFile(join(folder, 'preseed.cfg'), Buffer.from([0xff, 0x00, 0x3c, 0x25, 0x3d]));
    expect(await problems(iso())).toEqual(['7:37 "preseed.cfg" is not text in UTF-8, as a template has to be']);
    expect(await problems(iso().replace(': preseed.cfg }', ': { file: preseed.cfg, template: false } }'))).toEqual([]);
  });

  it('get the mirror and its parts: the given one, else that of this machine', async () => {
    await put('preseed.cfg', '<%= mirror-protocol %> <%= mirror-host %> <%= mirror-directory %> <%= mirror-proxy %>');
    const asked: number[] = [];
    const machineArchive = () => {
      asked.push(1);
      return Promise.resolve({ mirror: 'http://near.example/debian/', proxy: 'http://proxy.example:3128' });
    };
    const variables = async (options: LoadOptions) =>
      ((await load(iso(), options)).appliance.source as InstallerSource).answers.http[0]?.variables;
    expect(await variables({ machineArchive })).toEqual({
      mirror: 'http://near.example/debian/',
      'mirror-protocol': 'http',
      'mirror-host': 'near.example',
      'mirror-directory': '/debian',
      'mirror-proxy': 'http://proxy.example:3128',
    });
    expect(await variables({ machineArchive, variables: { mirror: 'https://far.example:8443/' } })).toMatchObject({
      'mirror-protocol': 'https',
      'mirror-host': 'far.example:8443',
      'mirror-directory': '/',
    });
    expect(await problems(iso())).toHaveLength(4);
    await put('preseed.cfg', 'nothing of it');
    const before = asked.length;
    await variables({ machineArchive });
    expect(asked).toHaveLength(before);
  });
});

describe('several sources', () => {
  const three = (mapping = 'packages: { suite: bookworm }') => `source:
  - ${mapping}
  - disk: { image: { from: '\${image}', checksum: none } }
  - disk: { image: { from: missing.img, checksum: none } }
variables: { image: { default: '' } }
`;

  it('keep their order; those that nobody can use yet are no mistake', async () => {
    const { appliance, sources } = await load(three());
    expect(appliance.source.kind).toBe('packages');
    expect(appliance.guest).toBe('debian');
    expect(sources).toMatchObject([
      { kind: 'packages' },
      { kind: 'disk', image: { locations: [], checksum: 'none' } },
      { kind: 'disk', image: { locations: [join(folder, 'missing.img')] } },
    ]);
  });

  it('are judged by the host at their place, and have all their mistakes told', async () => {
    const seen: unknown[] = [];
    const check: LoadOptions['check'] = ({ sources, issueAt }) => {
      seen.push(...sources.map(({ path }) => path));
      return [issueAt(sources[0]?.path ?? [], 'not this one')];
    };
    expect(
      await problems(
        three('packages: { suite: sid, suit: 1 }').replace('image: { from: missing', 'imge: { from: missing'),
        { check },
      ),
    ).toEqual([
      '4:15 not this one',
      '4:29 unknown key "suit" in source[0].packages; did you mean "suite"?',
      '6:5 missing key "image" in source[2].disk',
      '6:13 unknown key "imge" in source[2].disk; did you mean "image"?',
    ]);
    expect(seen).toEqual([
      ['source', 0, 'packages'],
      ['source', 1, 'disk'],
    ]);
  });

  it.each([
    [
      'two kinds in one',
      `source: { packages: { suite: sid }, disk: { image: { from: a, checksum: none } } }\n`,
      '3:9 source: packages and disk are 2 sources',
    ],
    ['no kind', 'source: [{}]\n', '3:10 source: name what the system is made from'],
    [
      'an unknown kind',
      'source: { package: {suite: sid} }\n',
      '3:9 source: name what the system is made from',
      '3:11 unknown key "package" in source; did you mean "packages"?',
    ],
    ['none', 'source: []\n', '3:9 source: must have 1 to 16 entries'],
    ['nothing', 'source:\n', '3:8 source: expected keys with values, found nothing'],
    ['a word', 'source: [debian]\n', '3:10 source[0]: expected keys with values, found "debian"'],
  ])('%s', async (_what, text, ...found) => {
    expect(await problems(text)).toEqual(found);
  });
});

describe('images', () => {
  it.each([
    ['', 'the image has no checksum'],
    ['md5:00', 'md5 can be forged and is not accepted'],
    ['a'.repeat(64), `"${'a'.repeat(58)}… does not say what it is; write sha256:aaaaaaaa…`],
    ['sha256:abc', 'sha256 has 64 hexadecimal digits, not 3'],
    ['sha-256', '"sha-256" is not a checksum'],
  ])('need a checksum that can be relied on, not %j', async (checksum, message) => {
    expect(await problems(disk('https://example.org/a', checksum))).toEqual([`3:69 ${message}`]);
  });

  it('need one that is spelled out', async () => {
    expect(await problems('source: { disk: { image: { from: a } } }\n')).toEqual([
      '3:19 missing key "checksum" in source.disk.image',
    ]);
  });

  it.each([
    ['ftp://example.org/a', '"ftp://example.org/a" cannot be fetched: ftp is none of http, https, file'],
    ['http://exa mple', '"http://exa mple" is not an address'],
    ['file://elsewhere/a', '"file://elsewhere/a" is not the address of a file on this machine'],
    ['.', '"." is a directory; a file is needed'],
    ['nothing.img', 'no file "nothing.img"'],
  ])('are not taken from %s', async (from, message) => {
    expect(await problems(disk(from))).toEqual([expect.stringContaining(message)]);
  });

  it('of the folder are read through the real path', async () => {
    const path = await put('images/a.img');
    await symlink('a.img', join(folder, 'images/b.img'));
    for (const from of ['images/a.img', './images/b.img', path, `file://${path}`])
      expect(image(await load(disk(from))).locations).toEqual([path]);
  });
});

describe('files of this machine', () => {
  const refused = (text: string) => [
    `3:34 "${text}" is outside of the definition's folder, and no checksum says what it has to be`,
  ];

  it('do not get into a guest by a definition alone', async () => {
    await writeFile(join(root, 'secret'), 'x');
    await symlink('../secret', join(folder, 'link.img'));
    await symlink('/etc', join(folder, 'etc'));
    for (const from of ['/etc/shadow', '../secret', 'link.img', 'etc/shadow', '/no/such', 'file:///etc/shadow'])
      expect(await problems(disk(from))).toEqual(refused(from));
    expect(await problems(disk('/etc/shadow', 'none', ', format: raw'))).toEqual(refused('/etc/shadow'));
  });

  it('may be named by who knows their content already, and are not looked at before that is proven', async () => {
    expect(image(await load(disk('/srv/no/such.iso', SHA)))).toEqual({
      locations: ['/srv/no/such.iso'],
      checksum: SHA,
    });
    expect(image(await load(disk('../other.img', SHA)))).toEqual({
      locations: [join(root, 'other.img')],
      checksum: SHA,
    });
  });

  it('may be named by a variable that the user sets; its value counts from where the command runs', async () => {
    const path = join(root, 'own.img');
    await writeFile(path, 'x');
    const text = `${disk('${image}')}variables: { image: {} }\n`;
    const at = (value: string) => load(text, { variables: { image: value }, currentFolder: root });
    for (const value of [path, 'own.img', 'demo/../own.img', `file://${path}`])
      expect(image(await at(value)).locations).toEqual([path]);
    expect(image(await at('https://example.org/x')).locations).toEqual(['https://example.org/x']);
    await expect(at('none.img')).rejects.toMatchObject({
      issues: [{ message: 'no file "none.img"', hint: `looked for ${join(root, 'none.img')}` }],
    });
    // The same value as a default is the definition's word, not the user's.
    expect(await problems(text.replace('{}', `{ default: ${path} }`))).toEqual(refused(path));
    const below = text.replace('${image}', '${image}/../own.img');
    expect(await problems(below, { variables: { image: folder } })).toEqual(refused(`${folder}/../own.img`));
  });
});

describe('files for starting over the network', () => {
  const netboot = (directory: string, rest = '') =>
    `source: { installer: { medium: { netboot: { directory: '${directory}'${rest} } } } }\n`;
  const medium = ({ appliance: { source } }: Definition) => (source as InstallerSource).medium;

  beforeEach(async () => {
    for (const name of ['linux', 'initrd.gz', 'bootnetx64.efi']) await put(`net/debian-installer/amd64/${name}`);
    await put('net/pxelinux.0');
  });

  it('are where Debian has them', async () => {
    expect(medium(await load(netboot('net')))).toEqual({
      kind: 'netboot',
      directory: join(folder, 'net'),
      kernel: 'debian-installer/amd64/linux',
      initrd: 'debian-installer/amd64/initrd.gz',
      bootFiles: { bios: 'pxelinux.0', uefi: 'debian-installer/amd64/bootnetx64.efi' },
    });
  });

  it('may have other names', async () => {
    await put('net/k');
    await put('net/i');
    expect(medium(await load(netboot('net', ', kernel: k, initrd: i, boot-files: {}')))).toMatchObject({
      kernel: 'k',
      initrd: 'i',
      bootFiles: {},
    });
    expect(await problems(netboot('net', ', kernel: kk, boot-files: { uefi: b.efi }'))).toEqual([
      '3:71 no file "kk" in "net"',
      '3:95 no file "b.efi" in "net"',
    ]);
    expect(await problems(netboot('net', ', kernel: ../k'))).toEqual([
      expect.stringContaining('is not a relative path without ".."'),
    ]);
  });

  it('of a package that is not installed are no mistake', async () => {
    const directory = '/usr/lib/debian-installer/images/0/none/text';
    expect(medium(await load(netboot(directory)))).toMatchObject({ directory, kernel: 'debian-installer/amd64/linux' });
  });

  it('lead nowhere else: a guest may ask for every file of the directory', async () => {
    expect(await problems(netboot('/'))).toEqual([`3:56 "/" is outside of the definition's folder`]);
    expect(await problems(netboot('../'))).toEqual([`3:56 "../" is outside of the definition's folder`]);
    expect(await problems(netboot('/usr/lib/debian-installer/../../..'))).toHaveLength(1);
    await symlink('/etc', join(folder, 'net/etc'));
    expect(await problems(netboot('net'))).toEqual([
      `3:56 "${join(folder, 'net/etc')}" is a link that leads out of the directory`,
    ]);
    const given = { variables: { d: 'net' }, currentFolder: folder };
    expect(await problems(`${netboot('${d}')}variables: {d: {}}\n`, given)).toEqual([]);
  });
});

describe('the key of a definition', () => {
  const key = async (text: string, change: (definition: Definition) => Definition = (same) => same) =>
    (await definitionInputs(change(await load(text)))).key;

  it('counts the source that is used, with the files that answer it, and no other', async () => {
    const list = `source:\n  - packages: {suite: sid}\n${iso()
      .replace('source:\n', '')
      .replace(/^/gm, '  ')
      .replace('    installer', '  - installer')}`;
    const second = (definition: Definition): Definition => ({
      ...definition,
      appliance: { ...definition.appliance, source: definition.sources[1] ?? definition.appliance.source },
    });
    const [packages, installer] = [await key(list), await key(list, second)];
    expect(packages).not.toBe(installer);
    await put('preseed.cfg', 'other');
    expect(await key(list)).toBe(packages);
    expect(await key(list, second)).not.toBe(installer);
  });

  it('takes the checksum for the image, wherever it is, and reads an image without one', async () => {
    expect(await key(disk('/a', SHA))).toBe(await key(disk('/b', SHA)));
    await put('a.img', 'one');
    const before = await key(disk('a.img'));
    await put('b.img', 'two');
    expect(await key(disk('b.img'))).not.toBe(before);
    await put('a.img', 'two');
    expect(await key(disk('a.img'))).not.toBe(before);
    expect(await key(disk('https://example.org/a'))).not.toBe(await key(disk('https://example.org/b')));
  });

  it('lets a password count without showing it', async () => {
    const access = (password: string) => iso('', `{password: ${password}}`);
    expect(await key(access('hunter22'))).not.toBe(await key(access('hunter23')));
    expect(JSON.stringify(await definitionInputs(await load(access('hunter22'))))).not.toContain('hunter22');
  });
});
