import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareDisks, openImageFile, rawDisk } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile, noise, texture, write } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HEADER } from './layout.js';
import { qcow2 } from './qcow2.js';

const signal = new AbortController().signal;
const MiB = 1024 * 1024;

describe.skipIf(!available('qemu-img', 'qemu-utils'))('images that qemu-img made', () => {
  let directory = '';
  const inside = (name: string) => join(directory, name);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    const bytes = texture(5 * MiB, 31);
    bytes.fill(0, MiB, 2 * MiB);
    await writeFile(inside('disk.raw'), bytes);
    await truncate(inside('disk.raw'), 40 * MiB);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const variants: Readonly<Record<string, readonly string[]>> = {
    'version 3': [],
    'version 2': ['-o', 'compat=0.10'],
    zlib: ['-c'],
    'version 2, zlib': ['-c', '-o', 'compat=0.10'],
    '512-byte clusters': ['-o', 'cluster_size=512'],
    '2 MiB clusters, zlib': ['-c', '-o', 'cluster_size=2M'],
    '1-bit reference counts': ['-o', 'refcount_bits=1'],
    '64-bit reference counts': ['-o', 'refcount_bits=64'],
    'explicit zero clusters': ['-S', '0'],
    preallocated: ['-o', 'preallocation=metadata'],
    'lazy reference counts': ['-o', 'lazy_refcounts=on'],
    'sub-clusters': ['-o', 'extended_l2=on'],
    'sub-clusters, zlib': ['-c', '-o', 'extended_l2=on'],
    '4 KiB clusters, zstd': ['-c', '-o', 'compression_type=zstd,cluster_size=4k'],
    zstd: ['-c', '-o', 'compression_type=zstd'],
  };
  for (const [name, options] of Object.entries(variants)) {
    it(`reads ${name}`, async () => {
      const image = inside(`${name.replaceAll(/\W/g, '-')}.qcow2`);
      await judgeWith('qemu-img', ['convert', '-O', 'qcow2', ...options, inside('disk.raw'), image]);
      await using raw = await openImageFile(inside('disk.raw'));
      await using file = await openImageFile(image);
      expect(await qcow2.detect(file)).toBe('yes');
      const { disk } = await qcow2.open(file);
      expect(await compareDisks(rawDisk(raw, raw.size), disk, { signal })).toEqual({ equal: true });
    });
  }

  it('reads the active layer of an image with snapshots', async () => {
    const image = inside('snapshots.qcow2');
    await judgeWith('qemu-img', ['convert', '-O', 'qcow2', inside('disk.raw'), image]);
    await judgeWith('qemu-img', ['snapshot', '-c', 'before', image]);
    await judgeWith('qemu-io', ['-c', 'write -P 7 3M 100k', image]);
    await judgeWith('qemu-img', ['convert', '-O', 'raw', image, inside('active.raw')]);
    await using raw = await openImageFile(inside('active.raw'));
    await using file = await openImageFile(image);
    const { disk, facts, snapshots } = await qcow2.open(file);
    expect(facts['snapshots']).toBe(1);
    expect(snapshots).toMatchObject([{ id: '1', name: 'before', time: expect.any(Number) as number }]);
    expect(await compareDisks(rawDisk(raw, raw.size), disk, { signal })).toEqual({ equal: true });
  });

  it('reads sub-clusters that were written one by one', async () => {
    const image = inside('subclusters.qcow2');
    await judgeWith('qemu-img', ['create', '-f', 'qcow2', '-o', 'extended_l2=on', image, '8M']);
    const commands = [
      'write -P 7 4k 6k',
      'write -P 8 70k 2k',
      'write -z 72k 4k',
      'write -P 9 1M 64k',
      'write -z 1026k 2k',
    ];
    await judgeWith('qemu-io', [...commands.flatMap((command) => ['-c', command]), image]);
    await judgeWith('qemu-img', ['convert', '-O', 'raw', image, inside('subclusters.raw')]);
    await using raw = await openImageFile(inside('subclusters.raw'));
    await using file = await openImageFile(image);
    const { disk, facts } = await qcow2.open(file);
    expect(facts['sub-clusters']).toBe(true);
    expect(await compareDisks(rawDisk(raw, raw.size), disk, { signal })).toEqual({ equal: true });
  });

  it.each([
    ['version 2', 'compat=0.10'],
    ['version 3', 'compat=1.1'],
    ['sub-clusters', 'extended_l2=on'],
  ])('reads an overlay over the parent that the user names, %s', async (_, option) => {
    const overlay = inside(`overlay-${option}.qcow2`);
    await judgeWith('qemu-img', [
      'create',
      '-f',
      'qcow2',
      '-o',
      option,
      '-b',
      inside('disk.raw'),
      '-F',
      'raw',
      overlay,
      '44M',
    ]);
    const zeros = option === 'compat=0.10' ? [] : ['-c', 'write -z 256k 192k'];
    await judgeWith('qemu-io', ['-c', 'write -P 7 100k 70k', '-c', 'write -P 9 39M 4M', ...zeros, overlay]);
    await judgeWith('qemu-img', ['convert', '-O', 'raw', overlay, inside('flat.raw')]);
    await using file = await openImageFile(overlay);

    const alone = await qcow2.open(file);
    expect(alone.parent).toEqual({ names: [inside('disk.raw')] });
    expect(alone.facts['backing format']).toBe('raw');
    expect(alone.disk.size).toBe(44 * MiB);
    await expect(alone.disk.read(new Uint8Array(512), 0)).rejects.toMatchObject({ code: 'parent-missing' });

    await using raw = await openImageFile(inside('disk.raw'));
    const parent = { path: 'disk.raw', disk: rawDisk(raw, raw.size), linkId: undefined };
    const { disk } = await qcow2.open(file, { parent });
    await using flat = await openImageFile(inside('flat.raw'));
    expect(await compareDisks(rawDisk(flat, flat.size), disk, { signal })).toEqual({ equal: true });
  });

  const refused: Readonly<Record<string, { readonly args: readonly string[]; readonly message: RegExp }>> = {
    'an external data file': { args: ['-o', 'data_file=external.raw'], message: /external data file/ },
  };
  for (const [name, { args, message }] of Object.entries(refused)) {
    it(`refuses ${name}, and opens nothing else`, async () => {
      const image = inside(`refused-${name.replaceAll(/\W/g, '-')}.qcow2`);
      await judgeWith('qemu-img', [
        'create',
        '-f',
        'qcow2',
        ...args.map((arg) => arg.replace('external.raw', inside('external.raw'))),
        image,
        '4M',
      ]);
      await using file = await openImageFile(image);
      await expect(qcow2.open(file)).rejects.toMatchObject({
        code: 'qcow2-unsupported',
        message: expect.stringMatching(message) as string,
      });
    });
  }
});

describe('hostile headers', () => {
  const mutations: Readonly<Record<string, (bytes: Buffer) => void>> = {
    'a cluster size below 512 bytes': (bytes) => bytes.writeUInt32BE(8, HEADER.clusterBits),
    'a cluster size above 2 MiB': (bytes) => bytes.writeUInt32BE(22, HEADER.clusterBits),
    'an absurd cluster size': (bytes) => bytes.writeUInt32BE(0xffffffff, HEADER.clusterBits),
    encryption: (bytes) => bytes.writeUInt32BE(2, HEADER.cryptMethod),
    'an L1 table of 32 GiB': (bytes) => bytes.writeUInt32BE(0xffffffff, HEADER.l1Size),
    'an L1 table without entries': (bytes) => bytes.writeUInt32BE(0, HEADER.l1Size),
    'a disk that the L1 table does not cover': (bytes) => bytes.writeBigUInt64BE(2n ** 62n, HEADER.size),
    'a disk without bytes': (bytes) => bytes.writeBigUInt64BE(0n, HEADER.size),
    'an L1 table behind the end': (bytes) => bytes.writeBigUInt64BE(2n ** 40n, HEADER.l1TableOffset),
    'an L1 table at the largest offset': (bytes) => bytes.writeBigUInt64BE(2n ** 64n - 65536n, HEADER.l1TableOffset),
    'an L1 table beside a cluster': (bytes) => bytes.writeBigUInt64BE(65536n + 512n, HEADER.l1TableOffset),
    'version 4': (bytes) => bytes.writeUInt32BE(4, HEADER.version),
    'an unknown feature': (bytes) => bytes.writeBigUInt64BE(1n << 40n, HEADER.incompatibleFeatures),
    'reference counts of 128 bits': (bytes) => bytes.writeUInt32BE(7, HEADER.refcountOrder),
    'a header that is too short': (bytes) => bytes.writeUInt32BE(80, HEADER.headerLength),
    'an unknown compression': (bytes) => bytes.writeUInt8(2, HEADER.compressionType),
    'zstd without its feature bit': (bytes) => bytes.writeUInt8(1, HEADER.compressionType),
    '70000 snapshots': (bytes) => bytes.writeUInt32BE(70_000, HEADER.snapshotCount),
  };
  for (const [name, mutate] of Object.entries(mutations)) {
    it(`refuses ${name}`, async () => {
      const bytes = await image();
      mutate(bytes);
      await expect(qcow2.open(memoryFile(bytes, 'evil.qcow2'))).rejects.toMatchObject({
        file: 'evil.qcow2',
        offset: expect.any(Number) as number,
      });
    });
  }

  it('refuses an L2 table that serves two ranges', async () => {
    const bytes = await image(600 * MiB);
    const l1 = Number(bytes.readBigUInt64BE(HEADER.l1TableOffset));
    bytes.copy(bytes, l1 + 8, l1, l1 + 8);
    await expect(qcow2.open(memoryFile(bytes))).rejects.toMatchObject({
      message: expect.stringMatching(/used twice/) as string,
    });
  });

  it('refuses data behind the end of the file', async () => {
    const bytes = await image();
    const l2 = Number(
      bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(HEADER.l1TableOffset))) & 0xff_ffff_ffff_fe00n,
    );
    bytes.writeBigUInt64BE((1n << 63n) | (1n << 40n), l2);
    const { disk } = await qcow2.open(memoryFile(bytes));
    await expect(disk.read(new Uint8Array(512), 0)).rejects.toMatchObject({ code: 'qcow2-invalid', offset: l2 });
  });

  it('stops decompressing at one cluster', async () => {
    const { sink } = await write(qcow2, memoryDisk(4 * MiB, [{ offset: 0, bytes: texture(MiB) }]), {
      compression: 'zlib',
      cluster: '64k',
    });
    const bytes = Buffer.from(sink.bytes());
    bytes.writeUInt32BE(12, HEADER.clusterBits); // the streams now give sixteen times what they may
    const opened = await qcow2.open(memoryFile(bytes)).catch((error: unknown) => error);
    if (opened instanceof Error) expect(opened).toMatchObject({ code: 'qcow2-invalid' });
    else
      await expect(
        (opened as { disk: { read(into: Uint8Array, at: number): Promise<void> } }).disk.read(new Uint8Array(4096), 0),
      ).rejects.toMatchObject({ code: 'qcow2-invalid' });
  });
});

async function image(size = 4 * MiB): Promise<Buffer> {
  const { sink } = await write(qcow2, memoryDisk(size, [{ offset: 0, bytes: noise(4096) }]), {});
  return Buffer.from(sink.bytes());
}
