import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convert, createIdentity, openImageFile } from '@polyvisor/core';
import {
  available,
  job,
  judgeWith,
  memoryDisk,
  memorySink,
  noise,
  sampleFacts,
  texture,
  write,
} from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { vmdk } from './vmdk.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const PART = 2047 * MiB;

async function made(options: Readonly<Record<string, unknown>>, size = 10 * MiB) {
  const sink = memorySink();
  const { writer } = await write(vmdk, memoryDisk(size, [{ offset: 4096, bytes: noise(100_000) }]), options, sink);
  const image = Buffer.from(sink.bytes());
  const start = image.toString('latin1', 0, 4) === 'KDMV' ? 512 : 0;
  const end = image.indexOf(0, start);
  return { sink, writer, image, text: image.toString('utf8', start, end < 0 ? undefined : end) };
}

const lines = (text: string, pattern: RegExp) => text.split('\n').filter((line) => pattern.test(line));

describe('the descriptor', () => {
  it('says what the options say', async () => {
    const { text } = await made({
      subformat: 'monolithicSparse',
      adapter: 'ide',
      hardware: 21,
      cid: 'ABCD1234',
      uuid: '6000c292-94ea-4d5c-9c68-d35b3c5a6d3f',
      tools: 12_345,
    });
    expect(lines(text, /^(CID|createType|RW|ddb\.(adapter|geometry|longC|tools|uuid|virtual))/)).toEqual([
      'CID=abcd1234',
      'createType="monolithicSparse"',
      'RW 20480 SPARSE "disk.vmdk"',
      'ddb.adapterType = "ide"',
      'ddb.geometry.cylinders = "20"',
      'ddb.geometry.heads = "16"',
      'ddb.geometry.sectors = "63"',
      expect.stringMatching(/^ddb\.longContentID = "[0-9a-f]{24}abcd1234"$/),
      'ddb.toolsInstallType = "4"',
      'ddb.toolsVersion = "12345"',
      'ddb.uuid = "60 00 c2 92 94 ea 4d 5c-9c 68 d3 5b 3c 5a 6d 3f"',
      'ddb.virtualHWVersion = "21"',
    ]);
  });

  it('takes a content ID of digits alone, which the command line makes a number', async () => {
    expect((await made({ subformat: 'vmfs', cid: 12_345_678 })).text).toContain('\nCID=12345678\n');
  });

  it('names the files of each kind as VMware does', async () => {
    const extents = async (subformat: string, size = 10 * MiB) => lines((await made({ subformat }, size)).text, /^RW/);
    expect(await extents('monolithicFlat')).toEqual(['RW 20480 FLAT "disk-flat.vmdk" 0']);
    expect(await extents('vmfs')).toEqual(['RW 20480 VMFS "disk-flat.vmdk"']);
    expect(await extents('twoGbMaxExtentSparse', 5 * GiB)).toEqual([
      'RW 4192256 SPARSE "disk-s001.vmdk"',
      'RW 4192256 SPARSE "disk-s002.vmdk"',
      'RW 2101248 SPARSE "disk-s003.vmdk"',
    ]);
    expect(await extents('twoGbMaxExtentFlat', 5 * GiB)).toEqual([
      'RW 4192256 FLAT "disk-f001.vmdk" 0',
      'RW 4192256 FLAT "disk-f002.vmdk" 0',
      'RW 2101248 FLAT "disk-f003.vmdk" 0',
    ]);
  });

  it('tells the encoding when a name needs it, and refuses names that would end its quotes', async () => {
    const create = async (name: string) => {
      const sink = memorySink();
      const base = job(MiB, sink, { subformat: 'monolithicFlat' });
      const writer = await vmdk.create({ ...base, output: { ...base.output, name } });
      await writer.finish();
      return Buffer.from(sink.bytes()).toString('utf8');
    };
    expect(await create('größe.vmdk')).toMatch(/\nencoding="UTF-8"\n[^]*FLAT "größe-flat\.vmdk" 0\n/);
    expect(await create('disk.VMDK')).toMatch(/FLAT "disk-flat\.vmdk"/);
    await expect(create('a"b.vmdk')).rejects.toMatchObject({ code: 'vmdk-name' });
  });
});

describe('options', () => {
  it.each([
    [{ subformat: 'monolithicFlat', grain: '64k' }, /has no grains/],
    [{ subformat: 'monolithicSparse', level: 5 }, /is not compressed/],
    [{ grain: '4k' }, /power of two from 8k to 1M/],
    [{ grain: '96k' }, /power of two/],
    [{ grain: '2M' }, /power of two/],
    [{ cid: 'ffffffff' }, /meanings of their own/],
    [{ cid: 'FFFFFFFE' }, /meanings of their own/],
    [{ cid: '123' }, /eight hexadecimal digits/],
    [{ uuid: 'no' }, /uuid/i],
    [{ adapter: 'nvme' }, /adapter/],
  ])('are refused when they make no sense: %o', async (options, message) => {
    await expect(vmdk.create(job(MiB, memorySink(), options))).rejects.toMatchObject({
      code: 'options-invalid',
      message: expect.stringMatching(message),
    });
  });

  it('bound the number of parts and the size of directories, before anything is written', async () => {
    let opened = 0;
    const base = job(4097 * PART, memorySink(), { subformat: 'twoGbMaxExtentFlat' });
    const output = { name: 'x', beside: () => Promise.resolve(memorySink()).finally(() => void opened++) };
    await expect(vmdk.create({ ...base, output })).rejects.toMatchObject({
      code: 'disk-too-large',
      message: expect.stringContaining('4097 files'),
    });
    expect(opened).toBe(0);
    for (const subformat of ['monolithicSparse', 'streamOptimized'])
      await expect(vmdk.create(job(62 * 2 ** 40, memorySink(), { subformat, grain: '8k' }))).rejects.toMatchObject({
        code: 'disk-too-large',
      });
  });
});

describe('a disk in parts', () => {
  it('has data that goes over the end of a part in both, and each part complete', async () => {
    const bytes = texture(3 * MiB, 5);
    const disk = () => memoryDisk(5 * GiB, [{ offset: PART - MiB - 512, bytes }]);
    for (const subformat of ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
      const { sink } = await write(vmdk, disk(), { subformat });
      expect([...sink.files.values()].map(({ size }) => size !== undefined)).toEqual([true, true, true]);
      await using read = (await vmdk.open(sink.file())).disk;
      const into = new Uint8Array(bytes.length + 1024);
      await read.read(into, PART - MiB - 1024);
      expect(Buffer.compare(into.subarray(512, -512), bytes)).toBe(0);
    }
  });

  it.skipIf(!available('qemu-img', 'qemu-utils'))(
    'is the same disk to qemu-img, verified and named at once',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
      try {
        for (const subformat of ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'monolithicFlat']) {
          const path = join(folder, `${subformat}.vmdk`);
          const source = memoryDisk(3 * GiB, [{ offset: PART - MiB - 512, bytes: texture(3 * MiB, 6) }]);
          await convert({
            source,
            targets: [
              { converter: vmdk, options: { subformat }, path },
              { converter: vmdk, options: {}, path: join(folder, `stream-${subformat}.vmdk`) },
            ],
            identity: createIdentity('test'),
            appliance: sampleFacts,
            force: false,
            verify: true,
            emit: () => undefined,
            signal: new AbortController().signal,
          });
          await judgeWith('qemu-img', [
            'compare',
            '-f',
            'vmdk',
            '-F',
            'vmdk',
            path,
            join(folder, `stream-${subformat}.vmdk`),
          ]);
          await using file = await openImageFile(path);
          expect(await vmdk.detect(file)).toBe('yes');
        }
        expect(await readdir(folder)).toContain('twoGbMaxExtentSparse-s002.vmdk');
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );
});

describe('the order of writing', () => {
  it('is that of the file for a stream only', async () => {
    for (const [options, order] of [
      [{}, 'append'],
      [{ subformat: 'monolithicSparse' }, 'random'],
      [{ subformat: 'vmfs' }, 'random'],
    ] as const)
      expect((await vmdk.create(job(MiB, memorySink(), options))).order).toBe(order);
  });

  it('has the header of a sparse disk last, so that an unfinished file is not taken for one', async () => {
    const writes: number[] = [];
    const sink = memorySink({ beforeWrite: (offset) => void writes.push(offset) });
    await write(
      vmdk,
      memoryDisk(40 * MiB, [{ offset: 0, bytes: noise(MiB) }]),
      { subformat: 'monolithicSparse' },
      sink,
    );
    expect(writes.indexOf(0)).toBe(writes.length - 1);
  });
});
