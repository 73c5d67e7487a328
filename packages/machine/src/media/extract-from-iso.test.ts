import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity, errorKind } from '@polyvisor/core';
import { available, judgeWith } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { extractFromIso } from './extract-from-iso.js';
import { writeSeedMedium } from './seed-medium.js';

const kernel = Buffer.from(Array.from({ length: 70_001 }, (_, n) => (n * 7919) & 0xff));
let directory: string;
let tree: string;
let count = 0;
const fresh = () => join(directory, `file-${++count}`);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iso-'));
  tree = join(directory, 'tree');
  await mkdir(join(tree, 'install.amd/d1/d2/d3/d4/d5/d6/d7/d8'), { recursive: true });
  await writeFile(join(tree, 'install.amd/vmlinuz'), kernel);
  await writeFile(join(tree, 'install.amd/d1/d2/d3/d4/d5/d6/d7/d8/deep'), 'deep');
  await writeFile(join(tree, `install.amd/${'n'.repeat(240)}`), 'long');
  await writeFile(join(tree, 'empty'), '');
  await symlink('install.amd/vmlinuz', join(tree, 'link'));
});
afterAll(() => rm(directory, { recursive: true }));

async function taken(image: string, innerPath: string): Promise<Buffer> {
  const output = fresh();
  await extractFromIso(image, innerPath, output);
  return readFile(output);
}

async function made(command: 'xorriso' | 'genisoimage', options: readonly string[]): Promise<string> {
  const image = fresh();
  const args = ['-quiet', ...options, '-o', image, tree];
  await judgeWith(command, command === 'xorriso' ? ['-as', 'mkisofs', ...args] : args);
  return image;
}

describe.each(['xorriso', 'genisoimage'] as const)('an image of %s', (command) => {
  const missing = !available(command, command);

  it.skipIf(missing)('is read by the names of Rock Ridge, however deep and long', async () => {
    const image = await made(command, ['-R']);
    expect(kernel.equals(await taken(image, 'install.amd/vmlinuz'))).toBe(true);
    expect(kernel.equals(await taken(image, '/INSTALL.AMD/VMLINUZ'))).toBe(true);
    expect((await taken(image, `install.amd/${'n'.repeat(240)}`)).toString()).toBe('long');
    expect((await taken(image, 'install.amd/d1/d2/d3/d4/d5/d6/d7/d8/deep')).toString()).toBe('deep');
    expect(await taken(image, 'empty')).toHaveLength(0);
  });

  it.skipIf(missing)('is read by other names where there are no such', async () => {
    const options = command === 'xorriso' ? ['--norock', '-D', '-iso-level', '4'] : ['-D', '-iso-level', '4'];
    for (const each of [[...options, '-J', '-joliet-long'], options])
      expect(kernel.equals(await taken(await made(command, each), 'install.amd/vmlinuz'))).toBe(true);
  });

  it.skipIf(missing)('has what is missing told, with what is there', async () => {
    const image = await made(command, ['-R']);
    await expect(taken(image, 'install.amd/vmlinux')).rejects.toMatchObject({
      code: 'iso-path-missing',
      message: expect.stringContaining('did you mean "vmlinuz"?'),
      hint: expect.stringContaining('"vmlinuz"'),
    });
    for (const path of ['', '..', '../x', 'install.amd', 'link', 'empty/x'])
      await expect(taken(image, path)).rejects.toMatchObject({ code: 'iso-path-missing' });
  });
});

describe('a damaged image', () => {
  let image: Buffer;
  beforeAll(async () => {
    const path = fresh();
    const files = new Map([
      ['boot/vmlinuz', kernel],
      ['x', Buffer.of(1)],
    ]);
    await writeSeedMedium(path, { label: 'x', filesystem: 'iso', files, identity: createIdentity('x') });
    image = await readFile(path);
  });

  async function outcome(bytes: Buffer): Promise<string> {
    const path = fresh();
    await writeFile(path, bytes);
    try {
      await taken(path, 'boot/vmlinuz');
      return 'read';
    } catch (error) {
      const kind = errorKind(error);
      if (kind !== 'format' && kind !== 'definition') throw error;
      return kind;
    } finally {
      await rm(path);
    }
  }

  it('ends in an error of its own wherever it is cut off, and leaves nothing', async () => {
    const before = (await readdir(directory)).length;
    for (let size = 0; size < image.length - 2048; size += 2000)
      expect(await outcome(image.subarray(0, size)), `${size}`).toBe('format');
    expect((await readdir(directory)).length).toBe(before);
  });

  it('is read or refused, and never hangs or crashes, whichever bit is wrong', async () => {
    // Every field that the reader follows is before the files.
    const end = image.indexOf(kernel.subarray(0, 64));
    const used = Array.from({ length: end }, (_, n) => n).filter((at) => image[at] !== 0);
    expect(used.length).toBeGreaterThan(500);
    for (let n = 0; n < 400; n++) {
      const at = used[(n * 7919) % used.length] ?? 0;
      const bytes = Buffer.from(image);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (n % 8));
      await outcome(bytes);
    }
  });

  it('whose directory is its own child is left at the end of the path', async () => {
    const bytes = Buffer.from(image);
    const name = bytes.indexOf('BOOT', bytes.readUInt32LE(16 * 2048 + 158) * 2048, 'latin1') - 33;
    bytes.writeUInt32LE(bytes.readUInt32LE(16 * 2048 + 158), name + 2);
    expect(await outcome(bytes)).toBe('definition');
  });
});

it('stops with the run', async () => {
  const reason = new Error('enough');
  await expect(extractFromIso('/dev/null', 'x', fresh(), AbortSignal.abort(reason))).rejects.toBe(reason);
});
