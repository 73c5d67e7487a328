import { chmod, link, mkdir, mkdtemp, open, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestContext } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atOffset, MKE2FS_CONFIG, mke2fsArguments, populateCommands } from './ext4.js';
import { NAME_BYTES, nameBytes } from './name-bytes.js';
import { FIND_TREE, parseTree, subtree, type TreeEntry } from './tree.js';

const context = createTestContext({ path: '/usr/sbin:/usr/bin:/sbin:/bin' });
const OFFSET = 2 ** 20;
const LENGTH = 64 * 2 ** 20;
const LATEST = 1_600_000_000;
const ODD_NAME = 'a "name" with spaces, ä and \\';
/** No text in UTF-8. */
const NO_TEXT = Buffer.from('latin \xe4\xff', 'latin1');

describe('an ext4 file system made from a tree', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function makeTree(name: string): Promise<string> {
    const root = join(directory, name);
    await mkdir(join(root, 'etc'), { recursive: true });
    await writeFile(join(root, 'etc', ODD_NAME), 'odd');
    await writeFile(Buffer.concat([Buffer.from(`${root}/etc/`), NO_TEXT]), 'bytes');
    await writeFile(join(root, 'first'), 'x'.repeat(100_000));
    await writeFile(join(root, 'zeros'), new Uint8Array(300_000).fill(1, 290_000));
    await link(join(root, 'first'), join(root, 'second'));
    await symlink('etc/x y', join(root, 'link'));
    await chmod(join(root, 'first'), 0o4755);
    await utimes(join(root, 'first'), 1_500_000_000, 1_500_000_000);
    return root;
  }

  async function readTree(root: string): Promise<TreeEntry[]> {
    const list = join(directory, 'list');
    await context.run('sh', ['-c', 'cd "$1"; out=$2; shift 2; find . "$@" >"$out"', 'sh', root, list, ...FIND_TREE]);
    const found = parseTree(await readFile(list, NAME_BYTES), { devices: new Map(), attributes: new Map() });
    // As root or not, the tests' tree belongs to somebody; in the guest it is somebody else.
    return found.map((entry) => ({ ...entry, user: 1000, group: 0 }));
  }

  async function build(name: string, entries: readonly TreeEntry[], root: string, attributes = ''): Promise<string> {
    const disk = join(directory, name);
    const file = await open(disk, 'wx');
    await file.truncate(OFFSET + LENGTH);
    await file.close();
    await writeFile(join(directory, 'mke2fs.conf'), MKE2FS_CONFIG);
    await writeFile(
      join(directory, 'script'),
      [...populateCommands(entries, { from: nameBytes(root), latest: LATEST, attributes })].join('\n'),
      NAME_BYTES,
    );
    const env = { MKE2FS_CONFIG: join(directory, 'mke2fs.conf'), E2FSPROGS_FAKE_TIME: String(LATEST) };
    const uuid = '11111111-2222-8333-8444-555555555555';
    const volume = { disk, offset: OFFSET, length: LENGTH, uuid, label: 'root', hashSeed: uuid };
    await context.run('mke2fs', mke2fsArguments(volume), { env });
    const { stderr } = await context.run('debugfs', ['-w', '-f', join(directory, 'script'), atOffset(disk, OFFSET)], {
      env,
    });
    expect(stderr.split('\n').slice(1).join('')).toBe('');
    return disk;
  }

  const ask = async (disk: string, request: string) =>
    (await context.run('debugfs', ['-R', request, atOffset(disk, OFFSET)])).stdout;

  it('has no faults in the eyes of e2fsck, and holds what the tree held', async () => {
    const root = await makeTree('tree');
    const disk = await build('disk', await readTree(root), root);
    await context.run('e2fsck', ['-fn', atOffset(disk, OFFSET)]);
    expect(await ask(disk, `cat "/etc/${ODD_NAME.replaceAll('"', '""')}"`)).toBe('odd');
    const script = join(directory, 'ask');
    await writeFile(script, Buffer.concat([Buffer.from('cat "/etc/'), NO_TEXT, Buffer.from('"\n')]));
    expect((await context.run('debugfs', ['-f', script, atOffset(disk, OFFSET)])).stdout).toContain('bytes');
    const first = await ask(disk, 'stat /first');
    expect(first).toMatch(/Mode:\s+04755/);
    expect(first).toMatch(/User:\s+1000/);
    expect(first).toMatch(/Links: 2/);
    expect(first).toMatch(/mtime: 0x59682f00/); // 1 500 000 000
    expect(await ask(disk, 'stat /link')).toContain('Fast link dest: "etc/x y"');
    // Everything younger than the build's own time is given that.
    expect(await ask(disk, 'stat /etc')).toMatch(/crtime: 0x5f5e1000/);
  });

  it('is the same, byte for byte, from the same tree made in another order at another time', async () => {
    const one = await makeTree('one');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const other = await makeTree('other');
    await rm(join(other, 'etc'), { recursive: true });
    await mkdir(join(other, 'etc'));
    await writeFile(Buffer.concat([Buffer.from(`${other}/etc/`), NO_TEXT]), 'bytes');
    await writeFile(join(other, 'etc', ODD_NAME), 'odd');
    const sparse = await open(join(other, 'zeros'), 'w');
    await sparse.write(new Uint8Array(10_000).fill(1), 0, 10_000, 290_000);
    await sparse.close();
    const [first, second] = [
      await build('a', await readTree(one), one),
      await build('b', await readTree(other), other),
    ];
    await context.run('cmp', [first, second]);
  });

  it('keeps extended attributes and devices', async () => {
    const root = await makeTree('tree');
    await writeFile(join(directory, '0'), Buffer.from('0100000200040000000000000000000000000000', 'hex'));
    const [top] = await readTree(root);
    if (top === undefined) throw new Error('no tree');
    const entries: TreeEntry[] = [
      top,
      { ...top, kind: 'directory', path: 'dev', source: 'dev' },
      { ...top, kind: 'character', path: 'dev/console', source: '', mode: 0o600, major: 5, minor: 1 },
      { ...top, kind: 'fifo', path: 'dev/pipe', source: '', mode: 0o644 },
      {
        ...top,
        kind: 'file',
        path: 'first',
        source: 'first',
        links: 1,
        attributes: [{ name: 'security.capability', file: '0' }],
      },
    ];
    const disk = await build('disk', entries, root, directory);
    await context.run('e2fsck', ['-fn', atOffset(disk, OFFSET)]);
    expect(await ask(disk, 'stat /dev/console')).toMatch(
      /Type: character special.*Mode:\s+0600[\s\S]*Device major\/minor number: 05:01/,
    );
    expect(await ask(disk, 'stat /dev/pipe')).toMatch(/Type: FIFO/);
    expect(await ask(disk, 'ea_get /first security.capability')).toContain('01 00 00 02 00 04');
  });
});

describe('a tree that is spread over several file systems', () => {
  const entry = (path: string): TreeEntry => ({
    kind: 'directory',
    path,
    source: path,
    inode: path,
    links: 1,
    mode: 0o755,
    user: 0,
    group: 0,
    time: 1,
    target: '',
    major: 0,
    minor: 0,
    attributes: [],
  });
  const tree = ['', 'var', 'var/lib', 'var/log', 'var/log/apt', 'variety'].map(entry);
  const mounts = ['/', '/var', '/var/log'];
  const paths = (mount: string) => subtree(tree, mount, mounts).map(({ path, source }) => [path, source]);

  it('leaves mount points as empty directories, and takes roots from them', () => {
    expect(paths('/')).toEqual([
      ['', ''],
      ['var', 'var'],
      ['variety', 'variety'],
    ]);
    expect(paths('/var')).toEqual([
      ['', 'var'],
      ['lib', 'var/lib'],
      ['log', 'var/log'],
    ]);
    expect(paths('/var/log')).toEqual([
      ['', 'var/log'],
      ['apt', 'var/log/apt'],
    ]);
  });
});
