import { memoryDisk, memorySink, noise, texture, write } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { checkQcow2 } from './check.js';
import { qcow2 } from './qcow2.js';
import { compareDisks, createDeflater, createIdentity } from '@polyvisor/core';
import { sampleFacts } from '@polyvisor/testkit';

const MiB = 1024 * 1024;
const { signal } = new AbortController();

describe('the qcow2 writer', () => {
  it('writes the header as documented, version 3', async () => {
    const { sink } = await write(qcow2, memoryDisk(MiB, [{ offset: 0, bytes: noise(512) }]), {});
    // One data cluster at 64 KiB, its L2 table at 128 KiB, L1 at 192 KiB, refcount block and table behind.
    expect(
      Buffer.from(sink.bytes().subarray(0, 120))
        .toString('hex')
        .replaceAll(/(.{16})/g, '$1 ')
        .trim(),
    ).toBe(
      [
        '514649fb00000003 0000000000000000 0000000000000010 0000000000100000', // magic, version; backing; cluster bits; size
        '0000000000000001 0000000000030000 0000000000050000 0000000100000000', // crypt, l1 size; l1; refcount table; its clusters, snapshots
        '0000000000000000 0000000000000000 0000000000000000 0000000000000000', // snapshots; features
        '0000000400000070 0000000000000000 0000000000000000', // refcount order, header length; compression; end of extensions
      ].join(' '),
    );
    expect(sink.size).toBe(6 * 65_536);
  });

  it('writes the 72 bytes of version 2, and no extension but the end', async () => {
    const { sink } = await write(qcow2, memoryDisk(MiB, []), { compat: '0.10' });
    expect(Buffer.from(sink.bytes()).readUInt32BE(4)).toBe(2);
    expect(Buffer.from(sink.bytes().subarray(72, 512)).equals(Buffer.alloc(440))).toBe(true);
  });

  it('stores what does not compress as it is', async () => {
    const bytes = noise(4 * 65_536);
    const plain = await write(qcow2, memoryDisk(MiB, [{ offset: 0, bytes }]), {});
    const compressed = await write(qcow2, memoryDisk(MiB, [{ offset: 0, bytes }]), { compression: 'zlib' });
    expect(compressed.sink.size).toBe(plain.sink.size);
  });

  it.each([
    ['a cluster size that is no power of two', { cluster: '60k' }, /cluster/],
    ['a cluster size beyond the limit', { cluster: '4M' }, /cluster/],
    ['zstd in version 2', { compat: '0.10', compression: 'zstd' }, /zstd/],
    ['an unknown version', { compat: '2.0' }, /compat/],
    ['a level that zlib does not have', { compression: 'zlib', level: 12 }, /levels 1 to 9/],
    ['a level that zstd does not have', { compression: 'zstd', level: 20 }, /level/],
    ['preallocation of what is compressed', { compression: 'zlib', preallocation: 'full' }, /preallocated/],
  ])('refuses %s', async (_, options, message) => {
    await expect(write(qcow2, memoryDisk(MiB, []), options)).rejects.toMatchObject({
      message: expect.stringMatching(message) as string,
    });
  });

  it('says which cluster size would hold a disk that small clusters cannot', async () => {
    const job = {
      size: 256 * 1024 * MiB,
      sink: memorySink(),
      options: { cluster: 512 },
      output: { name: 'disk', beside: () => Promise.reject(new Error('one file is enough')) },
      furtherDisks: [],
      identity: createIdentity('x'),
      deflater: createDeflater(),
      appliance: sampleFacts,
      signal: new AbortController().signal,
    };
    await expect(qcow2.create(job)).rejects.toMatchObject({
      code: 'disk-too-large',
      hint: expect.stringMatching(/cluster=64k/) as string,
    });
  });

  const preallocated = memoryDisk(40 * MiB + 512, [
    { offset: 3 * MiB, bytes: noise(70_000) },
    { offset: 30 * MiB, bytes: noise(4096) },
  ]);

  it.each([
    ['metadata', '64k'],
    ['full', '64k'],
    ['metadata', '4k'],
  ])('maps every cluster with preallocation=%s and clusters of %s', async (preallocation, cluster) => {
    let written = 0;
    const counting = memorySink({ beforeWrite: (_, length) => void (written += length) });
    const { sink } = await write(qcow2, preallocated, { preallocation, cluster }, counting);
    const { disk } = await qcow2.open(sink.file());
    const extents: unknown[] = [];
    for await (const extent of disk.extents()) extents.push(extent);
    expect(extents).toEqual([{ offset: 0, length: 40 * MiB + 512 }]);
    expect(await compareDisks(preallocated, disk, { signal })).toEqual({ equal: true });
    if (preallocation === 'full') expect(written).toBeGreaterThan(40 * MiB);
    else expect(written).toBeLessThan(2 * MiB);
  });

  it('compresses smaller with more effort', async () => {
    const disk = memoryDisk(4 * MiB, [{ offset: 0, bytes: texture(4 * MiB) }]);
    const sizes: number[] = [];
    for (const level of [1, 19]) {
      const { sink } = await write(qcow2, disk, { compression: 'zstd', level });
      const { disk: back } = await qcow2.open(sink.file());
      expect(await compareDisks(disk, back, { signal })).toEqual({ equal: true });
      sizes.push(sink.size as number);
    }
    expect(sizes[1]).toBeLessThanOrEqual(sizes[0] as number);
  });

  it('writes and reads 64 TiB of mostly nothing', async () => {
    const size = 64 * 1024 * 1024 * MiB;
    const disk = memoryDisk(size, [
      { offset: 0, bytes: noise(512) },
      { offset: size / 2, bytes: noise(512, 2) },
      { offset: size - 512, bytes: noise(512, 3) },
    ]);
    const { sink } = await write(qcow2, disk, {});
    const { disk: back } = await qcow2.open(sink.file());
    expect(back.size).toBe(size);
    expect(await compareDisks(disk, back, { signal })).toEqual({ equal: true });
    const findings: unknown[] = [];
    for await (const finding of checkQcow2(sink.file(), { signal })) findings.push(finding);
    expect(findings).toEqual([]);
  });
});
