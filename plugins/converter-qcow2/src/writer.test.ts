import { memoryDisk, memorySink, noise, write } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { qcow2 } from './qcow2.js';
import { createDeflater, createIdentity } from '@polyvisor/core';
import { sampleFacts } from '@polyvisor/testkit';

const MiB = 1024 * 1024;

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
});
