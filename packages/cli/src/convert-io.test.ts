import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode } from './exit-code.js';
import type { Output } from './io.js';
import { run } from './run.js';

const ZOD = pathToFileURL(createRequire(import.meta.url).resolve('zod')).href;

let folder: string;
const inside = (name: string) => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-io-'));
  await mkdir(inside('fake'));
  await mkdir(inside('tmp'));
  await writeFile(inside('fake/package.json'), JSON.stringify({ name: 'fake', type: 'module', exports: './index.js' }));
  await writeFile(inside('fake/index.js'), FAKE);
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/**
 * `diff`: a mark, then the name of a parent, then sectors that replace the parent's where they are not zero. `many`: any
 * number of disks one after the other, and a list of them beside it. Neither is written front to back.
 */
const FAKE = `
  import { z } from '${ZOD}';
  const refuse = (message) => Object.assign(new Error(message), { [Symbol.for('polyvisor.error')]: 'format', code: 'fake' });
  const capabilities = { order: 'random', maxSize: 2 ** 40, sizeMultiple: 512, compression: [], hypervisors: [] };
  const starts = (mark) => async (file) => {
    if (file.size < 512) return 'no';
    const head = Buffer.alloc(4); await file.read(head, 0);
    return head.toString() === mark ? 'yes' : 'no';
  };
  const none = async () => {};
  const diff = {
    id: 'diff', extension: '.diff', summary: 'A child', options: z.strictObject({}), capabilities,
    detect: starts('DIFF'),
    create: async ({ size, sink }) => ({
      size, write: ({ offset, bytes }) => sink.write(bytes, offset + 512),
      finish: async () => { await sink.write(Buffer.from('DIFF'), 0); await sink.end(size + 512); }, abort: none,
    }),
    open: async (file, { parent } = {}) => {
      const head = Buffer.alloc(64); await file.read(head, 0);
      const name = head.toString('latin1', 4, 36).replaceAll('\\0', '');
      const own = head.toString('latin1', 36, 64).replaceAll('\\0', '');
      const size = file.size - 512;
      const rest = { facts: {}, ...(own === '' ? {} : { linkId: own }) };
      const plain = {
        size, async *extents() { if (size > 0) yield { offset: 0, length: size }; },
        read: (into, offset) => file.read(into, offset + 512), [Symbol.asyncDispose]: none,
      };
      if (name === '') return { ...rest, disk: plain };
      const reference = { names: [name], linkId: name };
      if (parent === undefined) return { ...rest, parent: reference, disk: { ...plain, read: async () => {
        throw refuse(file.path + ': the rest of the disk is in a parent image, which it calls "' + name + '"');
      } } };
      if (parent.linkId !== name) throw refuse(parent.path + ' is not the parent');
      return { ...rest, parent: reference, disk: { ...plain, read: async (into, offset) => {
        await plain.read(into, offset);
        const below = Buffer.alloc(into.length); await parent.disk.read(below, offset);
        for (let at = 0; at < into.length; at++) if (into[at] === 0) into[at] = below[at];
      } } };
    },
  };
  const many = {
    id: 'many', extension: '.many', summary: 'Many disks', capabilities: { ...capabilities, severalDisks: true },
    options: z.strictObject({ bad: z.boolean().optional(), beside: z.string().optional() }),
    detect: starts('MANY'),
    create: async ({ size, sink, output, furtherDisks, options }) => {
      const sizes = [size, ...furtherDisks];
      const list = await output.beside(options.beside ?? output.name + '.list');
      let disk = 0;
      const start = (n) => 512 + sizes.slice(0, n).reduce((sum, one) => sum + one, 0);
      return {
        size,
        write: ({ offset, bytes }) => sink.write(options.bad && disk === 1 ? Buffer.from(bytes).fill(9) : bytes, start(disk) + offset),
        nextDisk: async () => { disk++; },
        finish: async () => {
          const text = Buffer.from(sizes.join(' ')); await list.write(text, 0); await list.end(text.length);
          await sink.write(Buffer.from('MANY' + output.name), 0); await sink.end(start(sizes.length));
        },
        abort: none,
      };
    },
    open: async (file, { disk = '1' } = {}) => {
      const head = Buffer.alloc(512); await file.read(head, 0);
      const list = await file.beside(head.toString('latin1', 4).replaceAll('\\0', '') + '.list');
      const text = Buffer.alloc(list.size); await list.read(text, 0); await list[Symbol.asyncDispose]();
      const sizes = text.toString().split(' ').map(Number);
      const index = Number(disk) - 1;
      const start = 512 + sizes.slice(0, index).reduce((sum, one) => sum + one, 0);
      return { facts: {}, disks: sizes.map((size) => ({ name: '', size })), disk: {
        size: sizes[index], async *extents() { yield { offset: 0, length: sizes[index] }; },
        read: (into, offset) => file.read(into, start + offset), [Symbol.asyncDispose]: none,
      } };
    },
  };
  export default { api: 1, name: 'fake', provisioners: [], booters: [], converters: [() => diff, () => many] };`;

async function polyvisor(
  args: readonly string[],
  { stdin, onStdout }: { stdin?: Uint8Array; onStdout?: () => void } = {},
) {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const capture = (into: Buffer[], then?: () => void): Output =>
    new Writable({
      write: (chunk: Buffer, _, done) => {
        into.push(Buffer.from(chunk));
        then?.();
        done();
      },
    });
  const code = await run(['--plugin', './fake', ...args], {
    ...(stdin === undefined ? {} : { stdin: Readable.from([stdin]) }),
    stdout: capture(out, onStdout),
    stderr: capture(err),
    cwd: folder,
    env: { PATH: process.env['PATH'], TMPDIR: inside('tmp') },
    signal: new AbortController().signal,
  });
  return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

const DISK = Buffer.alloc(1024 * 1024);
DISK.write('start', 0);
DISK.write('end', DISK.length - 3);

describe('an image that comes in another way', () => {
  it.each([
    ['as it is', DISK],
    ['compressed', gzipSync(DISK)],
  ])('is read from a pipe %s', async (_, stdin) => {
    const { code, stderr } = await polyvisor(['convert', '-', '--to', 'raw', '-o', 'out.img'], { stdin });
    expect(stderr).toContain('reading standard input');
    expect(code).toBe(0);
    expect((await readFile(inside('out.img'))).equals(DISK)).toBe(true);
    expect(await readdir(inside('tmp'))).toEqual([]);
  });

  it('is expanded, and named after what is in it', async () => {
    await writeFile(inside('disk.img.xz'), spawnSync('xz', ['-c'], { input: DISK }).stdout);
    expect(await polyvisor(['convert', 'disk.img.xz', '--to', 'raw', '-o', 'out/'])).toMatchObject({ code: 0 });
    expect((await readFile(inside('out/disk-raw.img'))).equals(DISK)).toBe(true);
    expect(await polyvisor(['verify', 'disk.img.xz', 'out/disk-raw.img'])).toMatchObject({ code: 0 });
    const asIs = await polyvisor([
      'verify',
      'disk.img.xz',
      'disk.img.xz',
      '--no-expand',
      '--from',
      'raw',
      '--from',
      'raw',
    ]);
    expect(asIs).toMatchObject({ code: 0 });
    const asBytes = ['verify', 'disk.img.xz', 'out/disk-raw.img', '--no-expand', '--from', 'raw', '--from', 'raw'];
    expect(await polyvisor(asBytes)).toMatchObject({ code: 1 });
    // Nobody says that it is a disk, and it begins as a compressed file does.
    expect(await polyvisor(['verify', 'disk.img.xz', '--no-expand'])).toMatchObject({ code: 2 });
  });

  it('is refused when it is cut off, and nothing is left', async () => {
    await writeFile(inside('disk.img.gz'), gzipSync(DISK).subarray(0, 200));
    const { code, stderr } = await polyvisor(['convert', 'disk.img.gz', '--to', 'raw', '-o', 'out.img']);
    expect(stderr).toContain('disk.img.gz, offset');
    expect(code).toBe(ExitCode.format);
    expect(await readdir(folder)).toEqual(['disk.img.gz', 'fake', 'tmp']);
  });
});

/** A `diff` image: name of its parent, its own name, and one byte at each of the offsets. */
async function child(name: string, parent: string, own: string, bytes: Readonly<Record<number, string>>) {
  const file = Buffer.alloc(512 + 4096);
  file.write(`DIFF`);
  file.write(parent, 4);
  file.write(own, 36);
  for (const [offset, byte] of Object.entries(bytes)) file.write(byte, 512 + Number(offset));
  await writeFile(inside(name), file);
}

describe('parents', () => {
  beforeEach(async () => {
    await child('base', '', 'one', { 0: 'a', 1: 'a', 2: 'a' });
    await child('middle', 'one', 'two', { 1: 'b', 2: 'b' });
    await child('top', 'two', 'three', { 2: 'c' });
  });

  it('are opened from the far end, and the disk is the flattened one', async () => {
    const args = ['convert', 'top', '--to', 'raw', '-o', 'flat.img', '--verify'];
    const { code, stderr } = await polyvisor([...args, '--parent', 'middle', '--parent', 'base']);
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);
    expect((await readFile(inside('flat.img'), 'latin1')).slice(0, 4)).toBe('abc\0');
    const same = ['verify', 'top', 'flat.img', '--parent', 'middle', '--parent', 'base'];
    expect(await polyvisor(same)).toMatchObject({ code: 0 });
  });

  it.each([
    [['top'], ExitCode.format, 'which it calls "two"'],
    [['top', '--parent', 'middle'], ExitCode.format, 'middle: the rest of the disk is in a parent image'],
    [['top', '--parent', 'base'], ExitCode.format, 'base is not the parent'],
    [['base', '--parent', 'middle', '--parent', 'base'], ExitCode.definition, 'it has no parent'],
    [['base', '--from', 'diff', '--from', 'diff'], ExitCode.definition, '--from is given 2 times'],
    [['base', '--disk', '2'], ExitCode.definition, 'holds one disk'],
  ])('%j is refused', async (args, code, text) => {
    const ran = await polyvisor(['convert', ...args, '--to', 'raw', '-o', 'flat.img']);
    expect(ran.stderr).toContain(text);
    expect(ran.code).toBe(code);
    expect((await readdir(folder)).filter((name) => name.startsWith('flat'))).toEqual([]);
  });
});

describe('several disks and several files', () => {
  beforeEach(async () => {
    await writeFile(inside('a.img'), DISK);
    await writeFile(inside('b.img'), Buffer.alloc(4096, 'b'));
  });
  const convert = (...rest: string[]) => polyvisor(['convert', 'a.img', 'b.img', '--verify', ...rest]);

  it('become one output, read back disk by disk, with every file in the answer', async () => {
    const { code, stdout, stderr } = await convert('--to', 'many', '-o', 'out.many', '--json');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(
      (await readFile(inside('out.many'))).subarray(512).equals(Buffer.concat([DISK, Buffer.alloc(4096, 'b')])),
    ).toBe(true);
    const result = JSON.parse(stdout.toString().trimEnd().split('\n').at(-1) ?? '') as object;
    const sha256 = spawnSync('sha256sum', [inside('out.many.list')], { encoding: 'utf8' }).stdout.slice(0, 64);
    expect(result).toMatchObject({
      sources: [{ path: 'a.img' }, { path: 'b.img' }],
      artifacts: [{ path: inside('out.many'), files: [{ path: inside('out.many.list'), bytes: 12, sha256 }] }],
    });
    const second = await polyvisor(['verify', 'out.many', 'b.img', '--disk', '2']);
    expect(second).toMatchObject({ code: 0 });
  });

  it('leave nothing when the second disk does not read back', async () => {
    const before = await readdir(folder);
    const { code, stderr } = await convert('--to', 'many:bad=true', '-o', 'out.many');
    expect(stderr).toContain('offset 0 of disk 2');
    expect(code).toBe(ExitCode.format);
    expect(await readdir(folder)).toEqual(before);
  });

  it.each([
    [['--to', 'raw', '-o', 'x.img'], 'raw holds one disk, 2 are given', /hint: .*many/],
    [['--to', 'many', '-o', 'x', '--size', '+1M'], '--size is for one disk', /hint/],
    [['--to', 'many', '-o', 'x', '--disk', '1'], '--parent and --disk are for one image', /hint/],
    [['--to', 'many:beside=x-many.many', '-o', 'x-many.many'], 'would both be written', /hint/],
    [['--to', 'many', '-o', '-'], 'standard output', /hint/],
  ])('%j is refused', async (args, text, hint) => {
    const before = await readdir(folder);
    const ran = await polyvisor(['convert', 'a.img', 'b.img', ...args]);
    expect(ran.stderr).toContain(text);
    expect(ran.stderr).toMatch(hint);
    expect(ran.code).toBe(ExitCode.definition);
    expect(await readdir(folder)).toEqual(before);
  });
});

describe('standard output', () => {
  beforeEach(() => writeFile(inside('disk.img'), DISK));

  it.each([[[]], [['--json']]])('takes the image and nothing else: %j', async (options) => {
    const { code, stdout, stderr } = await polyvisor(['convert', 'disk.img', '--to', 'raw', '-o', '-', ...options]);
    expect(code).toBe(0);
    expect(stdout.equals(DISK)).toBe(true);
    const sha256 = spawnSync('sha256sum', { input: DISK, encoding: 'utf8' }).stdout.slice(0, 64);
    expect(stderr).toContain(sha256);
  });

  it.each([
    [['--to', 'diff'], /diff is not written from front to back.*\nhint: .*raw/],
    [['--to', 'raw,diff'], /standard output takes a single output/],
    [['--to', 'raw', '--verify'], /cannot be read back/],
  ])('%j is refused before a byte is written', async (args, text) => {
    const { code, stdout, stderr } = await polyvisor(['convert', 'disk.img', ...args, '-o', '-']);
    expect(stderr).toMatch(text);
    expect(code).toBe(ExitCode.definition);
    expect(stdout.length).toBe(0);
  });
});

describe('--size and --sparse', () => {
  beforeEach(() => writeFile(inside('disk.img'), Buffer.concat([DISK, Buffer.alloc(3 * 1024 * 1024)])));
  const convert = (...rest: string[]) => polyvisor(['convert', 'disk.img', '--to', 'raw', '-o', 'out.img', ...rest]);

  it.each([
    ['8M', 8],
    ['+1M', 5],
    ['2M', 2],
  ])('--size %s', async (size, mebibytes) => {
    expect(await convert('--size', size, '--verify')).toMatchObject({ code: 0 });
    const out = await readFile(inside('out.img'));
    expect(out.length).toBe(mebibytes * 1024 * 1024);
    expect(out.subarray(0, DISK.length).equals(DISK)).toBe(true);
  });

  it.each([
    ['1M', 0, ''],
    ['512k', ExitCode.definition, `there is data at offset ${DISK.length - 3}`],
    ['1000', ExitCode.definition, 'there is data at offset'],
    ['4194305', ExitCode.definition, 'positive multiple of 512'],
    ['big', ExitCode.definition, 'Write bytes'],
  ])('--size %s ends with %i', async (size, code, text) => {
    const ran = await convert('--size', size);
    expect(ran.stderr).toContain(text);
    expect(ran.code).toBe(code);
  });

  it('--sparse never leaves no hole', async () => {
    expect(await convert('--size', '16M')).toMatchObject({ code: 0 });
    expect((await stat(inside('out.img'))).blocks * 512).toBeLessThan(2 ** 20);
    expect(await convert('--size', '16M', '--sparse', 'never', '--force', '--verify')).toMatchObject({ code: 0 });
    const { size, blocks } = await stat(inside('out.img'));
    expect(size).toBe(16 * 2 ** 20);
    expect(blocks * 512).toBeGreaterThanOrEqual(16 * 2 ** 20);
  });
});
