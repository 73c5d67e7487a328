import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { createDeflater, createIdentity, pump } from '@polyvisor/core';
import {
  accepts,
  available,
  qemuImgCheck,
  qemuImgCompare,
  qemuImgSize,
  memoryDisk,
  type MemorySink,
  memorySink,
  noise,
  type Piece,
  shapes,
  texture,
} from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { GRAIN_SIZE } from './layout.js';
import { openStream } from './stream-reader.js';
import { type StreamJob, StreamWriter } from './stream-writer.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const options = { adapterType: 'lsilogic', hardwareVersion: 13, level: 1 } as const;

async function write(
  size: number,
  pieces: readonly Piece[],
  sink = memorySink({ appendOnly: true }),
): Promise<MemorySink> {
  const writer = new StreamWriter(
    { size, sink, identity: createIdentity('test'), deflater: createDeflater() },
    options,
  );
  await pump(memoryDisk(size, pieces), [writer], { signal: new AbortController().signal });
  await writer.finish();
  return sink;
}

describe('a stream-optimized VMDK', () => {
  it('has the header and descriptor that ovftool writes', async () => {
    const bytes = Buffer.from((await write(8 * MiB, [])).bytes());
    // "KDMV", version 3, flags 0x30001, 16384 sectors, grain 128, descriptor at 1 of 20 sectors, 512 entries,
    // no redundant directory, directory in the footer, overhead 128, newline test, deflate.
    expect(bytes.toString('hex', 0, 79)).toBe(
      '4b444d56' + '03000000' + '01000300' + '0040000000000000' + '8000000000000000' + '0100000000000000' +
        '1400000000000000' + '00020000' + '0000000000000000' + 'ffffffffffffffff' + '8000000000000000' + '00' + '0a200d0a' + '0100',
    ); // prettier-ignore
    expect(bytes.toString('utf8', 512, bytes.indexOf(0, 512))).toBe(`# Disk DescriptorFile
version=1
CID=c08160e0
parentCID=ffffffff
isNativeSnapshot="no"
createType="streamOptimized"

# Extent description
RDONLY 16384 SPARSE "generated-stream.vmdk"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "1"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.longContentID = "2bd12284b810bd1859e6ae9ac08160e0"
ddb.toolsInstallType = "4"
ddb.toolsVersion = "2147483647"
ddb.virtualHWVersion = "13"
`);
    // Without data nothing depends on zlib, so the whole file is known.
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      '86e5a993350eb5ffd5b9e723f072037cbf84cc77e6d1058041d5d93682dc09e7',
    );
  });

  it('has its parts in the order of a stream, and nothing behind the end', async () => {
    const pieces = [
      { offset: 0, bytes: noise(3 * GRAIN_SIZE) },
      { offset: 31 * MiB, bytes: texture(2 * MiB, 2) },
      { offset: 100 * MiB, bytes: noise(512, 3) },
    ];
    const bytes = Buffer.from((await write(128 * MiB, pieces)).bytes());
    const parts: string[] = [];
    const grains = new Map<number, number>();
    const tables: Buffer[] = [];
    let at = 128 * 512;
    let end = false;
    while (!end) {
      const value = Number(bytes.readBigUInt64LE(at));
      const length = bytes.readUInt32LE(at + 8);
      if (length > 0) {
        expect(inflateSync(bytes.subarray(at + 12, at + 12 + length)).length).toBe(GRAIN_SIZE);
        grains.set(value / 128, at / 512);
        at += Math.ceil((12 + length) / 512) * 512;
        if (parts.at(-1) !== 'grains') parts.push('grains');
        continue;
      }
      const type = bytes.readUInt32LE(at + 12);
      parts.push(['end', 'table', 'directory', 'footer'][type] ?? `type ${type}`);
      if (type === 1) tables.push(bytes.subarray(at + 512, at + 512 + value * 512));
      at += 512 + value * 512;
      end = type === 0;
    }
    expect(at).toBe(bytes.length);
    expect(parts).toEqual(['grains', 'table', 'grains', 'table', 'grains', 'table', 'directory', 'footer', 'end']);
    expect([...grains.keys()]).toEqual([...grains.keys()].sort((a, b) => a - b));
    expect(grains.size).toBe(3 + 32 + 1);
    const [first, second, third] = tables;
    for (const [grain, sector] of grains) {
      const table = [first, second, undefined, third][Math.floor(grain / 512)];
      expect(table?.readUInt32LE((grain % 512) * 4)).toBe(sector);
    }
    const directoryAt = Number(bytes.readBigUInt64LE(bytes.length - 1024 + 56)) * 512;
    const directory = [0, 1, 2, 3].map((index) => bytes.readUInt32LE(directoryAt + index * 4));
    expect(directory[2]).toBe(0);
    expect(
      directory.filter((entry) => entry > 0).map((entry) => bytes.subarray(entry * 512, entry * 512 + 2048)),
    ).toEqual(tables);
  });

  it('counts the bytes of the disk that it stores', async () => {
    const sink = memorySink();
    const writer = new StreamWriter(
      { size: 8 * MiB, sink, identity: createIdentity('test'), deflater: createDeflater() },
      options,
    );
    const source = memoryDisk(8 * MiB, [{ offset: 4 * MiB - 512, bytes: noise(1024) }]);
    await pump(source, [writer], { signal: new AbortController().signal });
    await writer.finish();
    expect(writer.allocated).toBe(2 * GRAIN_SIZE);
  });

  it('rounds the capacity up to whole grains', async () => {
    const { disk } = await openStream((await write(5 * MiB + 512, [])).file());
    expect(disk.size).toBe(5 * MiB + GRAIN_SIZE);
  });

  it('gathers small grains into few writes, and keeps little in flight', async () => {
    const writes: number[] = [];
    const sink = memorySink({ appendOnly: true, beforeWrite: (_, length) => void writes.push(length) });
    await write(64 * MiB, [{ offset: 0, bytes: texture(32 * MiB, 5) }], sink);
    const total = writes.reduce((sum, length) => sum + length, 0);
    expect(writes.length).toBe(Math.ceil(total / (512 * KiB)));
    expect(sink.peak).toBeLessThanOrEqual(512 * KiB);
  });

  it.each([0xffff_ffff, 0xffff_fffe])('avoids the reserved content id %i', async (reserved) => {
    const id = Buffer.alloc(16);
    id.writeUInt32BE(reserved, 12);
    const job: StreamJob = {
      size: MiB,
      sink: memorySink(),
      identity: { ...createIdentity('test'), bytes: () => id },
      deflater: createDeflater(),
    };
    await new StreamWriter(job, options).finish();
    expect(Buffer.from((job.sink as MemorySink).bytes()).toString('latin1', 512, 1024)).toContain('\nCID=7ffffffe\n');
  });

  it.each([
    ['lsilogic', 255, 130],
    ['ide', 16, 2080],
  ] as const)('describes the geometry of a 1 GiB disk on %s', async (adapterType, heads, cylinders) => {
    const sink = memorySink();
    await new StreamWriter(
      { size: 1024 * MiB, sink, identity: createIdentity('test'), deflater: createDeflater() },
      { ...options, adapterType },
    ).finish();
    const text = Buffer.from(sink.bytes()).toString('latin1', 512, 1536);
    expect(text).toContain(`ddb.geometry.heads = "${heads}"\n`);
    expect(text).toContain(`ddb.geometry.cylinders = "${cylinders}"\n`);
  });

  it('passes on what the compressor and the device throw', async () => {
    const broken = new Error('broken');
    const pieces = [{ offset: 0, bytes: noise(2 * MiB) }];
    const sink = memorySink({ beforeWrite: () => Promise.reject(broken) });
    await expect(write(2 * MiB, pieces, sink)).rejects.toBe(broken);
    const deflater = { deflate: () => Promise.reject(broken) };
    const writer = new StreamWriter(
      { size: 2 * MiB, sink: memorySink(), identity: createIdentity('test'), deflater },
      options,
    );
    await expect(pump(memoryDisk(2 * MiB, pieces), [writer], { signal: new AbortController().signal })).rejects.toBe(
      broken,
    );
    await writer.abort();
  });

  const judges = [
    qemuImgCompare('vmdk'),
    qemuImgCheck('vmdk'),
    qemuImgSize('vmdk'),
    accepts(
      'vmdkinfo',
      'libvmdk-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Stream optimized\\s+Media size:.*\\(${size} bytes\\)`),
    ),
  ];
  for (const judge of judges) {
    it.skipIf(!available(judge.command, judge.debianPackage))(`agrees with ${judge.name}`, async () => {
      const scratch = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
      try {
        for (const [index, shape] of shapes.entries()) {
          const [raw, image] = [join(scratch, `${index}.raw`), join(scratch, `${index}.vmdk`)];
          const pieces: Piece[] = [];
          const disk = shape.make();
          const file = await open(raw, 'w');
          await file.truncate(disk.size);
          for await (const { offset, length } of disk.extents()) {
            const bytes = new Uint8Array(length);
            await disk.read(bytes, offset);
            await file.write(bytes, 0, length, offset);
            pieces.push({ offset, bytes });
          }
          await file.close();
          const sink = await write(disk.size, pieces);
          await writeFile(image, sink.bytes());
          await judge.judge({ image, raw, size: Math.ceil(disk.size / GRAIN_SIZE) * GRAIN_SIZE });
        }
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    });
  }

  for (const shape of shapes) {
    it(`is appended only and reads back: ${shape.name}`, async () => {
      const source = shape.make();
      const sink = memorySink({ appendOnly: true });
      const writer = new StreamWriter(
        { size: source.size, sink, identity: createIdentity('test'), deflater: createDeflater() },
        options,
      );
      await pump(source, [writer], { signal: new AbortController().signal });
      await writer.finish();
      const { disk } = await openStream(sink.file());
      for await (const { offset, length } of source.extents()) {
        const [expected, found] = [new Uint8Array(length), new Uint8Array(length)];
        await Promise.all([source.read(expected, offset), disk.read(found, offset)]);
        expect(Buffer.compare(expected, found)).toBe(0);
      }
    });
  }
});
