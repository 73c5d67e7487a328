import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity } from '@polyvisor/core';
import { available, judgeWith } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { extractFromIso } from './extract-from-iso.js';
import { writeSeedMedium } from './seed-medium.js';

const identity = createIdentity('seed', 1_700_000_000);
const files = new Map<string, Uint8Array>([
  ['user-data', Buffer.from('#cloud-config\n')],
  ['meta-data', Buffer.alloc(0)],
  ['A.TXT', Buffer.from('a')],
  ['deep/er/füü bär.conf', Buffer.alloc(5000, 'x')],
  [`deep/${'long '.repeat(18)}name.txt`, Buffer.alloc(2048, 'y')],
  ...Array.from({ length: 60 }, (_, n): [string, Uint8Array] => [`many/some-file-${n}.yaml`, Buffer.from(`n${n}`)]),
]);

let directory: string;
let count = 0;
const fresh = () => join(directory, `image-${++count}`);
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'seed-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function write(filesystem: 'iso' | 'fat', content: ReadonlyMap<string, Uint8Array> = files, label = 'cidata') {
  const path = fresh();
  await writeSeedMedium(path, { label, filesystem, files: content, identity });
  return path;
}

describe.each(['iso', 'fat'] as const)('%s', (filesystem) => {
  it('gives equal bytes for equal files, in whatever order', async () => {
    const other = new Map([...files].reverse());
    const [one, two] = [await write(filesystem), await write(filesystem, other)];
    expect((await readFile(one)).equals(await readFile(two))).toBe(true);
  });

  it.skipIf(!available('blkid', 'util-linux'))('has its label and its type', async () => {
    const told = await judgeWith('blkid', ['-p', '-o', 'export', await write(filesystem)]);
    expect(told).toMatch(filesystem === 'iso' ? /^LABEL=cidata$/m : /^LABEL=CIDATA$/m);
    expect(told).toMatch(filesystem === 'iso' ? /^TYPE=iso9660$/m : /^TYPE=vfat$/m);
  });

  it('refuses what it cannot hold', async () => {
    const deep = `${'d/'.repeat(8)}f`;
    for (const name of ['', '../x', 'a//b', 'a\nb', deep])
      await expect(write(filesystem, new Map([[name, Buffer.of(1)]]))).rejects.toMatchObject({
        code: 'medium-invalid',
      });
    const both = new Map([
      ['a', Buffer.of(1)],
      ['a/b', Buffer.of(1)],
    ]);
    await expect(write(filesystem, both)).rejects.toMatchObject({ code: 'medium-invalid' });
    for (const label of ['', ' x', 'ä', 'x'.repeat(33), 'a/b'])
      await expect(write(filesystem, files, label)).rejects.toMatchObject({ code: 'medium-invalid' });
  });

  it('is never written over another file', async () => {
    const path = await write(filesystem);
    await expect(writeSeedMedium(path, { label: 'x', filesystem, files, identity })).rejects.toMatchObject({
      code: 'output-exists',
    });
  });
});

it.skipIf(!available('xorriso', 'xorriso'))('xorriso takes every file out of the ISO as it was', async () => {
  const image = await write('iso');
  const out = fresh();
  await judgeWith('xorriso', ['-osirrox', 'on', '-indev', image, '-extract', '/', out]);
  for (const [name, bytes] of files) expect(Buffer.compare(await readFile(join(out, name)), bytes), name).toBe(0);
  await judgeWith('chmod', ['-R', 'u+w', out]);
});

it.skipIf(!available('isoinfo', 'genisoimage'))('isoinfo sees the names in each of the three hierarchies', async () => {
  const image = await write('iso');
  const listed = async (...options: string[]) =>
    (await judgeWith('isoinfo', [...options, '-f', '-i', image])).split('\n').filter((line) => line !== '');
  for (const options of [['-R'], ['-J']])
    expect(await listed(...options)).toEqual(
      expect.arrayContaining(['/user-data', '/meta-data', '/many/some-file-59.yaml']),
    );
  const plain = await listed();
  expect(new Set(plain).size).toBe(plain.length);
  for (const line of plain.filter((each) => each.endsWith(';1')))
    expect(line).toMatch(/[A-Z0-9_]{1,8}\.[A-Z0-9_]{0,3};1$/);
});

it('our own reader takes every file out of the ISO', async () => {
  const image = await write('iso');
  for (const [name, bytes] of files) {
    const output = fresh();
    await extractFromIso(image, name, output);
    expect(Buffer.compare(await readFile(output), bytes), name).toBe(0);
  }
});

// FAT12 with small and larger clusters, and FAT16.
describe.each([0, 3_000_000, 20_000_000])('FAT with %i bytes more', (more) => {
  const content = new Map([...files, ['big.bin', Buffer.alloc(more, 'z')]] as [string, Uint8Array][]);

  it.skipIf(!available('fsck.fat', 'dosfstools'))('has nothing for fsck to mend', async () => {
    await judgeWith('fsck.fat', ['-n', await write('fat', content)]);
  });

  it.skipIf(!available('mcopy', 'mtools'))('gives mtools every file as it was', async () => {
    const image = await write('fat', content);
    const out = fresh();
    await judgeWith('mkdir', [out]);
    await judgeWith('mcopy', ['-s', '-n', '-i', image, '::', out], { LC_ALL: 'C.UTF-8' });
    for (const [name, bytes] of content) expect(Buffer.compare(await readFile(join(out, name)), bytes), name).toBe(0);
  });
});

it('FAT says which names it has no room for', async () => {
  for (const names of [['a', 'A'], ['x?'], ['x.'], ['a:b']])
    await expect(write('fat', new Map(names.map((name) => [name, Buffer.of(1)])))).rejects.toMatchObject({
      code: 'medium-invalid',
    });
  await expect(write('fat', files, 'twelve-chars')).rejects.toMatchObject({ code: 'medium-invalid' });
});
