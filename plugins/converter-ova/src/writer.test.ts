import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import {
  BLOCK_SIZE,
  type ConvertJob,
  createBlock,
  createDeflater,
  createIdentity,
  type DiskSink,
  type ImageFile,
} from '@polyvisor/core';
import { job, memoryDisk, memorySink, noise, sampleFacts, write } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { ova } from './ova.js';
import { readOva, verifyManifest } from './reader.js';
import { listArchive } from './tar-reader.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('an OVA', () => {
  it('has the bytes that it had before', async () => {
    // Without data nothing depends on zlib.
    const { sink } = await write(ova, memoryDisk(8 * MiB, []), {});
    const bytes = Buffer.from(sink.bytes());
    const [ovf, manifest, disk] = await listArchive(sink.file());
    expect([ovf, manifest, disk]).toEqual([
      { name: 'sample.ovf', offset: 512, size: expect.any(Number) as number },
      { name: 'sample.mf', offset: expect.any(Number) as number, size: 85 + 92 },
      { name: 'sample-disk1.vmdk', offset: expect.any(Number) as number, size: 65536 + 5 * 512 },
    ]);
    expect(bytes.length).toBe((disk?.offset ?? 0) + (disk?.size ?? 0) + 1024);
    expect(bytes.subarray(-1024).every((byte) => byte === 0)).toBe(true);
    expect(sha256(bytes)).toBe('2b7f1f08ee4a0160651c61d5d30c29302f77877347aab9106c59108c0be53583');
  });

  it('lists the descriptor and the disk in its manifest, as ESXi wants it', async () => {
    for (const [algorithm, digits] of [
      ['sha1', 40],
      ['sha256', 64],
      ['sha512', 128],
    ] as const) {
      const { sink } = await write(ova, memoryDisk(8 * MiB, [{ offset: MiB, bytes: noise(100_000) }]), {
        manifest: algorithm,
      });
      const whole = Buffer.from(sink.bytes());
      const [ovf, manifest, disk] = (await listArchive(sink.file())).map(({ offset, size }) =>
        whole.subarray(offset, offset + size),
      );
      const hex = (bytes: Uint8Array | undefined) =>
        createHash(algorithm)
          .update(bytes ?? '')
          .digest('hex');
      const word = algorithm.toUpperCase();
      expect(manifest?.toString()).toBe(`${word}(sample.ovf)= ${hex(ovf)}\n${word}(sample-disk1.vmdk)= ${hex(disk)}\n`);
      expect(hex(ovf)).toHaveLength(digits);
      expect(await verifyManifest(sink.file())).toHaveLength(2);
    }
  });

  it('carries the time of its identity and no other', async () => {
    const times = async (time: number) => {
      const sink = memorySink();
      const writer = await ova.create({ ...job(8 * MiB, sink, {}), identity: createIdentity('test', time) });
      await writer.finish();
      const bytes = Buffer.from(sink.bytes());
      return (await listArchive(sink.file())).map(({ offset }) =>
        Number.parseInt(bytes.toString('latin1', offset - 512 + 136, offset - 512 + 147), 8),
      );
    };
    expect(await times(0)).toEqual([0, 0, 0]);
    expect(await times(1_700_000_000)).toEqual([1_700_000_000, 1_700_000_000, 1_700_000_000]);
  });

  it('is of the foreseen layout whatever the numbers in it', async () => {
    const offsets = async (pieces: { offset: number; bytes: Uint8Array }[]) =>
      (await listArchive((await write(ova, memoryDisk(64 * MiB, pieces), {})).sink.file())).map(({ offset }) => offset);
    expect(await offsets([])).toEqual(await offsets([{ offset: 0, bytes: noise(30 * MiB) }]));
  });

  it('names its files after the machine, within the limits of tar', async () => {
    const { sink } = await write(ova, memoryDisk(MiB, []), { name: `Ä/${'long '.repeat(15)}` });
    const names = (await listArchive(sink.file())).map(({ name }) => name);
    const base = `A-${'long-'.repeat(15)}`.slice(0, -1);
    expect(names).toEqual([`${base}.ovf`, `${base}.mf`, `${base}-disk1.vmdk`]);
  });

  it('refuses bad options and other processors before writing', async () => {
    const sink = memorySink();
    await expect(ova.create(job(MiB, sink, { flavour: 'virtualbox', controller: 'pvscsi' }))).rejects.toMatchObject({
      code: 'options-invalid',
    });
    const arm: ConvertJob = { ...job(MiB, sink, {}), appliance: { ...sampleFacts, architecture: 'arm64' } };
    await expect(ova.create(arm)).rejects.toMatchObject({ code: 'ova-architecture' });
    expect(sink.peak).toBe(0);
  });

  it('may be larger than 8 GiB', async () => {
    // Every grain is the same incompressible one, deflated once; the sink keeps the ends of the file only.
    const grain = deflateSync(noise(64 * 1024), { level: 1 });
    const { sink, file } = endsOnly();
    const size = 8 * GiB + 4 * BLOCK_SIZE;
    const writer = await ova.create({
      ...job(size, memorySink(), { manifest: 'sha1' }),
      sink,
      deflater: { ...createDeflater(), deflate: () => Promise.resolve(grain) },
    });
    const bytes = noise(BLOCK_SIZE);
    for (let offset = 0; offset < size; offset += BLOCK_SIZE) {
      const block = createBlock(offset, bytes);
      if (block !== undefined) await writer.write(block);
    }
    await writer.finish();
    const members = await listArchive(file());
    const disk = members[2];
    expect(disk?.size).toBeGreaterThan(8 * GiB);
    const header = new Uint8Array(512);
    await file().read(header, (disk?.offset ?? 0) - 512);
    const field = Buffer.alloc(12);
    field.writeUInt8(0x80);
    field.writeBigUInt64BE(BigInt(disk?.size ?? 0), 4);
    expect(Buffer.from(header.subarray(124, 136)).equals(field)).toBe(true);
    const { ovf, files } = await readOva(file());
    expect(ovf.disks).toMatchObject([{ capacity: size, fileSize: `${disk?.size}` }]);
    expect(await files.find(disk?.name ?? '')).toMatchObject({ offset: disk?.offset, size: disk?.size });
  }, 120_000);
});

/** A sink that keeps the first and the last MiB of what is written, for files that do not fit into memory. */
function endsOnly(): { sink: DiskSink; file: () => ImageFile } {
  const head = new Uint8Array(MiB);
  let tail: { offset: number; bytes: Uint8Array }[] = [];
  let size = 0;
  const copy = (from: Uint8Array, at: number, into: Uint8Array, start: number) => {
    const begin = Math.max(at, start);
    const end = Math.min(at + from.length, start + into.length);
    if (begin < end) into.set(from.subarray(begin - at, end - at), begin - start);
  };
  return {
    sink: {
      write: (bytes, offset) => {
        copy(bytes, offset, head, 0);
        if (offset >= 8 * GiB) tail = [...tail, { offset, bytes: bytes.slice() }].slice(-4);
        return Promise.resolve();
      },
      end: (final) => {
        size = final;
        return Promise.resolve();
      },
    },
    file: () => ({
      path: 'large.ova',
      size,
      async *extents() {
        await Promise.resolve();
        yield { offset: 0, length: size };
      },
      read: (into, offset) => {
        copy(head, 0, into, offset);
        for (const piece of tail) copy(piece.bytes, piece.offset, into, offset);
        return Promise.resolve();
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  };
}
