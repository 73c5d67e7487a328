import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync, deflateSync } from 'node:zlib';
import { createDeflater, createIdentity, digest, type ImageFile, openImageFile, pump, rawDisk } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile, memorySink, noise, texture } from '@polyvisor/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { openStream } from './stream-reader.js';
import { StreamWriter } from './stream-writer.js';

const MiB = 1024 * 1024;
const GRAIN = 64 * 1024;
const SIZE = 96 * MiB;

/** Data in the first and the third table. */
const PIECES = [
  { offset: 0, bytes: texture(3 * GRAIN, 1) },
  { offset: 70 * MiB, bytes: texture(2 * GRAIN, 2) },
];

/** A stream as our writer makes it: header, descriptor, ..., and where its parts are. */
let stream: Buffer;
let directory: number;
let table: number;
let grain: number;

beforeAll(async () => {
  const sink = memorySink();
  const job = { size: SIZE, sink, identity: createIdentity('test'), deflater: createDeflater() };
  const writer = new StreamWriter(job, { adapterType: 'lsilogic', hardwareVersion: 13, level: 1 });
  await pump(memoryDisk(SIZE, PIECES), [writer], { signal: new AbortController().signal });
  await writer.finish();
  stream = Buffer.from(sink.bytes());
  directory = Number(stream.readBigUInt64LE(stream.length - 1024 + 56)) * 512;
  table = stream.readUInt32LE(directory) * 512;
  grain = stream.readUInt32LE(table) * 512;
});

async function readAll(file: ImageFile): Promise<void> {
  const { disk } = await openStream(file);
  const chunk = new Uint8Array(MiB);
  for (let at = 0; at < disk.size; at += chunk.length)
    await disk.read(chunk.subarray(0, Math.min(MiB, disk.size - at)), at);
}

async function expectDisk(file: ImageFile, size: number, pieces: readonly { offset: number; bytes: Uint8Array }[]) {
  const { disk, facts } = await openStream(file);
  expect(disk.size).toBe(size);
  expect(await digest(disk, 'sha256')).toBe(await digest(memoryDisk(size, pieces), 'sha256'));
  return facts;
}

describe('reading a stream', () => {
  it("knows ovftool's layout", async () => {
    const facts = await expectDisk(memoryFile(stream), SIZE, PIECES);
    expect(facts).toEqual({
      'VMDK type': 'streamOptimized',
      'VMDK version': 3,
      'grain size': 65536,
      'grain directory': 'behind the data',
      'VMDK adapter': 'lsilogic',
      'VMDK hardware version': '13',
      'VMDK content id': 'c08160e0',
    });
  });

  it("knows open-vmdk's layout: directory and tables in front, no footer", async () => {
    const facts = await expectDisk(memoryFile(inFront()), SIZE, PIECES);
    expect(facts['grain directory']).toBe('in front of the data');
  });

  it('knows versions 1 and 2, grains in any order, CRLF, and a last grain that was cut short', async () => {
    for (const version of [1, 2]) await expectDisk(memoryFile(inFront({ version })), SIZE, PIECES);
    await expectDisk(memoryFile(inFront({ reversed: true })), SIZE, PIECES);
    const bytes = noise(512, 9);
    await expectDisk(memoryFile(inFront({ size: GRAIN + 512, last: bytes })), GRAIN + 512, [{ offset: GRAIN, bytes }]);
  });

  it('passes over what it does not know between the grains: no marker is followed', async () => {
    // A marker of progress (type 4) of any length, in place of the zeros behind the descriptor, as some VMware exports have it.
    const marked = Buffer.from(stream);
    marked.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 22 * 512);
    marked.writeUInt32LE(4, 22 * 512 + 12);
    await expectDisk(memoryFile(marked), SIZE, PIECES);
  });

  it('tells where data is, by grains', async () => {
    const { disk } = await openStream(memoryFile(stream));
    const extents = [];
    for await (const extent of disk.extents()) extents.push(extent);
    expect(extents).toEqual([
      { offset: 0, length: 3 * GRAIN },
      { offset: 70 * MiB, length: 2 * GRAIN },
    ]);
  });

  it('reads any range', async () => {
    const { disk } = await openStream(memoryFile(stream));
    const into = new Uint8Array(2 * GRAIN).fill(1);
    await disk.read(into, 2 * GRAIN - 100);
    const expected = new Uint8Array(2 * GRAIN);
    expected.set(PIECES[0]?.bytes.subarray(2 * GRAIN - 100) ?? []);
    expect(Buffer.compare(into, expected)).toBe(0);
    await expect(disk.read(into, SIZE - 1)).rejects.toThrow(RangeError);
  });

  it.skipIf(!available('qemu-img', 'qemu-utils'))(
    "knows qemu-img's layout, without footer, at odd sizes too",
    async () => {
      const scratch = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
      try {
        for (const size of [5 * MiB, 40 * MiB + 3 * 512]) {
          const [raw, image] = [join(scratch, 'disk.raw'), join(scratch, `disk-${size}.vmdk`)];
          await writeFile(raw, texture(size, 8));
          await judgeWith('qemu-img', [
            'convert',
            '-f',
            'raw',
            '-O',
            'vmdk',
            '-o',
            'subformat=streamOptimized',
            raw,
            image,
          ]);
          await using file = await openImageFile(image);
          await using source = await openImageFile(raw);
          const { disk, facts } = await openStream(file);
          expect(facts).toMatchObject({ 'grain directory': 'in front of the data', 'VMDK adapter': 'ide' });
          expect(await digest(disk, 'sha256')).toBe(await digest(rawDisk(source, disk.size), 'sha256'));
        }
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    },
  );
});

describe('a hostile stream', () => {
  const all = 0xffff_ffff_ffff_ffffn;
  const u32 = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, at);
  const u64 = (at: number, value: bigint) => (bytes: Buffer) => void bytes.writeBigUInt64LE(value, at);
  /** Changes the header and, unlike most attackers, the footer with it. */
  const both = (change: (bytes: Buffer) => void) => (bytes: Buffer) => {
    change(bytes);
    change(bytes.subarray(bytes.length - 1024));
  };
  const text = (from: string | RegExp, to: string) => (bytes: Buffer) => {
    const end = bytes.indexOf(0, 512);
    const changed = bytes.toString('latin1', 512, end).replace(from, to);
    bytes.fill(0, 512, 512 * 21).write(changed, 512, 'latin1');
  };
  const cases: Record<string, [expected: RegExp, change: (bytes: Buffer) => Buffer | void]> = {
    'is empty': [/the header ends behind the end/, () => Buffer.alloc(0)],
    'has another magic': [/not a sparse VMDK/, u32(0, 1)],
    'is COWD': [/vmfsSparse/, (bytes) => void bytes.write('COWD')],
    'is SESparse': [/SESparse/, u32(0, 0xcafebabe)],
    'is a descriptor of a host file': [
      /names other files/,
      () => Buffer.from('# Disk DescriptorFile\nversion=1\nRW 4 FLAT "/etc/passwd" 0\n'.padEnd(512)),
    ],
    'has version 0': [/version.*found 0/, u32(4, 0)],
    'has version 4': [/version.*found 4/, u32(4, 4)],
    'went through a text-mode transfer': [/text mode/, u32(73, 0x0a0a200a)],
    'has unknown flags': [/unknown flags/, u32(8, 0x70001)],
    'is not compressed': [/monolithicSparse/, u32(8, 3)],
    'has an unknown compression': [/compression.*found 2/, (bytes) => void bytes.writeUInt16LE(2, 77)],
    'has capacity 0': [/capacity.*found 0/, both(u64(12, 0n))],
    'has capacity 2^60': [/capacity/, both(u64(12, 1n << 60n))],
    'has a larger capacity than its descriptor': [/196608 sectors, the header 196736/, both(u64(12, 196736n))],
    'has a grain of 12 sectors': [/grain size.*found 12/, both(u64(20, 12n))],
    'has a grain of 4 sectors': [/grain size.*found 4/, both(u64(20, 4n))],
    'has a grain of 1 GiB': [/grain size/, both(u64(20, 1n << 21n))],
    'has tables of 1024 entries': [/grain tables.*found 1024/, both(u32(44, 1024))],
    'has no descriptor': [/descriptor is absent/, u64(28, 0n)],
    'has a huge descriptor': [/descriptor is absent, too long/, u64(36, 1n << 40n)],
    'has a descriptor outside': [/descriptor is absent, too long or outside/, u64(28, all - 5n)],
    'names an absolute path': [/names a path, "\/etc\/passwd"/, text('generated-stream.vmdk', '/etc/passwd')],
    'names a path upwards': [/names a path/, text('generated-stream.vmdk', '../../secret')],
    'names a device of Windows': [/names a path/, text('generated-stream.vmdk', '\\\\.\\PhysicalDrive0')],
    'has a FLAT extent': [/type FLAT/, text('SPARSE "', 'FLAT "')],
    'has a second extent': [/lists 2 extents/, text('\n\n# The', '\nRW 4 FLAT "x"\n\n# The')],
    'has no extent': [/lists 0 extents/, text(/RDONLY.*\n/, '')],
    'has a parent': [/parent disk/, text('parentCID=ffffffff', 'parentCID=12345678')],
    'hints at a parent': [/parent disk/, text('version=1', 'version=1\nparentFileNameHint="/etc/passwd"')],
    'is a full device': [/type "fullDevice"/, text('streamOptimized', 'fullDevice')],
    'would paint the terminal': [/ddb\.adapterType is not plain text: "\\u001b/, text('"lsilogic"', '"\u001b[2J"')],
    'says its type twice': [/createType twice/, text('version=1', 'version=1\ncreateType="streamOptimized"')],
    'has descriptor version 9': [/descriptor has version "9"/, text('version=1', 'version=9')],
    'has prose in its descriptor': [/neither a setting nor an extent/, text('version=1', 'version=1\nhello there')],
    'has too many lines': [/more than 1000 lines/, (bytes) => void bytes.fill('#\n#\n', 512 + 300, 512 * 20)],
    'has something behind its end': [/no footer marker/, (bytes) => Buffer.concat([bytes, Buffer.alloc(512)])],
    'is padded as tar pads': [/no footer marker/, (bytes) => Buffer.concat([bytes, Buffer.alloc(10240)])],
    'lacks its last sector': [/no footer marker/, (bytes) => bytes.subarray(0, -512)],
    'lacks its last byte': [/footer is missing/, (bytes) => bytes.subarray(0, -1)],
    'ends behind the header': [/outside the file/, (bytes) => bytes.subarray(0, 512)],
    'has no end-of-stream marker': [
      /no end-of-stream marker/,
      (bytes) => void bytes.writeUInt32LE(3, bytes.length - 500),
    ],
    'disagrees about its capacity': [
      /disagree about the capacity/,
      (bytes) => void bytes.writeUInt32LE(9, bytes.length - 1024 + 12),
    ],
    'disagrees about its flags': [
      /disagree about the magic, version or flags/,
      (bytes) => void bytes.writeUInt32LE(3, bytes.length - 1024 + 8),
    ],
    'sends to the footer in the footer': [
      /directory lies outside/,
      (bytes) => void bytes.writeBigUInt64LE(all, bytes.length - 1024 + 56),
    ],
    'has its directory over the descriptor': [
      /directory lies outside/,
      (bytes) => void bytes.writeBigUInt64LE(1n, bytes.length - 1024 + 56),
    ],
    'has its directory behind its end': [
      /directory lies outside/,
      (bytes) => void bytes.writeBigUInt64LE(1n << 33n, bytes.length - 1024 + 56),
    ],
    'has a table behind its end': [/table lies outside/, (bytes) => void bytes.writeUInt32LE(0xffff_ffff, directory)],
    'has a table over its descriptor': [/table lies outside/, (bytes) => void bytes.writeUInt32LE(2, directory)],
    'uses a table twice': [/tables overlap/, (bytes) => void bytes.copyWithin(directory + 8, directory, directory + 4)],
    'has overlapping tables': [
      /tables overlap/,
      (bytes) => void bytes.writeUInt32LE(bytes.readUInt32LE(directory) + 3, directory + 4),
    ],
    'has a grain behind its end': [/grain 0 lies outside/, (bytes) => void bytes.writeUInt32LE(0xffff_fff0, table)],
    'has a grain in its header': [/grain 0 lies outside/, (bytes) => void bytes.writeUInt32LE(2, table)],
    'uses a grain twice': [/belongs to another/, (bytes) => void bytes.copyWithin(table + 4, table, table + 4)],
    'has a marker of another grain': [/belongs to another/, (bytes) => void bytes.writeBigUInt64LE(127n, grain)],
    'has an endless grain': [/impossible length/, (bytes) => void bytes.writeUInt32LE(0xffff_ffff, grain + 8)],
    'has a grain of no length': [/impossible length/, (bytes) => void bytes.writeUInt32LE(0, grain + 8)],
    'has a grain that is not zlib': [
      /cannot be decompressed/,
      (bytes) => void bytes.fill(0xaa, grain + 12, grain + 40),
    ],
    'has a grain that ends early': [/cannot be decompressed/, (bytes) => void bytes.writeUInt32LE(20, grain + 8)],
  };
  for (const [name, [expected, change]] of Object.entries(cases)) {
    it(`is refused when it ${name}`, async () => {
      const copy = Buffer.from(stream);
      const failure = readAll(memoryFile(change(copy) ?? copy, 'evil.vmdk'));
      await expect(failure).rejects.toMatchObject({ name: 'FormatError', file: 'evil.vmdk' });
      await expect(failure).rejects.toThrow(expected);
    });
  }

  it('is refused when a grain is a bomb, is too short, or is raw deflate', async () => {
    const bomb = deflateSync(Buffer.alloc(64 * MiB));
    await expect(readAll(memoryFile(inFront({ first: bomb })))).rejects.toThrow(/grain 0 cannot be decompressed/);
    await expect(readAll(memoryFile(inFront({ first: deflateSync(Buffer.alloc(GRAIN + 1)) })))).rejects.toThrow(
      /grain 0 cannot/,
    );
    await expect(readAll(memoryFile(inFront({ first: deflateSync(Buffer.alloc(GRAIN - 1)) })))).rejects.toThrow(
      /grain 0 is too short/,
    );
    await expect(readAll(memoryFile(inFront({ first: deflateRawSync(Buffer.alloc(GRAIN, 7)) })))).rejects.toThrow(
      /grain 0 cannot/,
    );
  });

  it('costs no memory for what it only claims', async () => {
    const small = inFront();
    const sectors = 62n << 31n;
    small.writeBigUInt64LE(sectors, 12);
    text(/RW \d+/, `RW ${sectors}`)(small);
    const before = process.memoryUsage().arrayBuffers;
    await expect(openStream(memoryFile(small))).rejects.toThrow(/directory lies outside the file/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MiB);
  });
});

interface Front {
  readonly version?: number;
  readonly size?: number;
  readonly reversed?: boolean;
  /** Instead of the compressed first grain. */
  readonly first?: Buffer;
  /** Bytes of a last grain, compressed without padding. */
  readonly last?: Uint8Array;
}

/** A stream as open-vmdk writes it: directory and tables before the grains, an end-of-stream marker, no footer. */
function inFront({ version = 3, size = SIZE, reversed = false, first, last }: Front = {}): Buffer {
  const header = Buffer.from(stream.subarray(0, 512));
  const grains = Math.ceil(size / GRAIN);
  const tables = Math.ceil(grains / 512);
  header.writeUInt32LE(version, 4);
  header.writeBigUInt64LE(BigInt(size / 512), 12);
  header.writeBigUInt64LE(21n, 56);
  const descriptor = Buffer.alloc(20 * 512);
  descriptor.write(
    stream
      .toString('latin1', 512, stream.indexOf(0, 512))
      .replace(/RDONLY \d+/, `RW ${size / 512}`)
      .replaceAll('\n', '\r\n'),
  );
  const front = Buffer.alloc(512 + tables * 2048);
  for (let index = 0; index < tables; index++) front.writeUInt32LE(22 + index * 4, index * 4);
  const contents = new Map<number, Buffer>();
  if (last !== undefined) contents.set(grains - 1, deflateSync(last));
  else {
    for (const { offset, bytes } of PIECES) {
      for (let at = 0; at < bytes.length; at += GRAIN)
        contents.set((offset + at) / GRAIN, deflateSync(bytes.subarray(at, at + GRAIN)));
    }
  }
  if (first !== undefined) contents.set(0, first);
  const parts: Buffer[] = [header, descriptor, front];
  let sector = 21 + front.length / 512;
  const order = [...contents].sort(([a], [b]) => (reversed ? b - a : a - b));
  for (const [index, data] of order) {
    const part = Buffer.alloc(Math.ceil((12 + data.length) / 512) * 512);
    part.writeBigUInt64LE(BigInt(index * 128));
    part.writeUInt32LE(data.length, 8);
    data.copy(part, 12);
    front.writeUInt32LE(sector, 512 + index * 4);
    parts.push(part);
    sector += part.length / 512;
  }
  return Buffer.concat([...parts, Buffer.alloc(512)]);
}
