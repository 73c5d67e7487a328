import { type CheckOptions, createDeflater, createIdentity, type Finding, pump } from '@polyvisor/core';
import { memoryDisk, memoryFile, memorySink, texture } from '@polyvisor/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkVmdk } from './check.js';
import { SeveralFilesWriter } from './several-files-writer.js';
import { SparseWriter } from './sparse-writer.js';
import { StreamWriter } from './stream-writer.js';

const MiB = 1024 * 1024;
const SIZE = 96 * MiB;
const { signal } = new AbortController();
const common = { adapterType: 'lsilogic', hardwareVersion: 13, level: 1, grain: 64 * 1024 } as const;

let stream: Buffer;
let sparse: Buffer;
let split: { text: Buffer; parts: ReadonlyMap<string, Uint8Array> };
/** Positions in bytes: of the stream's directory, first table and first two grains. */
let at: { directory: number; table: number; first: number; second: number };

async function write(kind: 'stream' | 'sparse' | 'split') {
  const sink = memorySink();
  const job = {
    size: SIZE,
    sink,
    identity: createIdentity('test'),
    deflater: createDeflater(),
    output: { name: 'disk.vmdk', beside: (name: string) => sink.beside(name) },
  };
  const writer =
    kind === 'stream'
      ? new StreamWriter(job, common)
      : kind === 'sparse'
        ? new SparseWriter(job, common)
        : await SeveralFilesWriter.create(job, { ...common, createType: 'twoGbMaxExtentSparse' });
  const pieces = [
    { offset: 0, bytes: texture(200_000, 1) },
    { offset: 70 * MiB, bytes: texture(200_000, 2) },
  ];
  await pump(memoryDisk(SIZE, pieces), [writer], { signal });
  await writer.finish();
  return sink;
}

beforeAll(async () => {
  stream = Buffer.from((await write('stream')).bytes());
  sparse = Buffer.from((await write('sparse')).bytes());
  const sink = await write('split');
  const parts = new Map([...sink.files].map(([name, file]) => [name, file.bytes()] as const));
  split = { text: Buffer.from(sink.bytes()), parts };
  const directory = Number(stream.readBigUInt64LE(stream.length - 1024 + 56)) * 512;
  const table = stream.readUInt32LE(directory) * 512;
  at = { directory, table, first: stream.readUInt32LE(table) * 512, second: stream.readUInt32LE(table + 4) * 512 };
});

async function check(
  bytes: Uint8Array,
  parts: ReadonlyMap<string, Uint8Array> = new Map(),
  options: Partial<CheckOptions> = {},
): Promise<Finding[]> {
  const findings = [];
  for await (const finding of checkVmdk(memoryFile(bytes, 'disk.vmdk', parts), { signal, ...options }))
    findings.push(finding);
  return findings;
}

const u32 = (offset: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, offset);
const u64 = (offset: number, value: bigint) => (bytes: Buffer) => void bytes.writeBigUInt64LE(value, offset);
const both = (change: (bytes: Buffer) => void) => (bytes: Buffer) => {
  change(bytes);
  change(bytes.subarray(bytes.length - 1024));
};
/** Changes the embedded descriptor. */
const text = (from: string | RegExp, to: string) => (bytes: Buffer) => {
  const changed = bytes.toString('latin1', 512, bytes.indexOf(0, 512)).replace(from, to);
  bytes.fill(0, 512, 512 * 21).write(changed, 512, 'latin1');
};
type Case = [rules: readonly string[], change: (bytes: Buffer) => Buffer | void];

it('finds nothing in what is sound', async () => {
  expect(await check(stream)).toEqual([]);
  expect(await check(sparse)).toEqual([]);
  expect(await check(split.text, split.parts)).toEqual([]);
  expect(await check(stream, undefined, { consumer: 'esxi' })).toEqual([]);
});

it('says what ESXi does not run, when that is asked', async () => {
  expect(await check(sparse, undefined, { consumer: 'esxi' })).toMatchObject([
    { rule: 'vmdk-kind', refusedBy: ['esxi'] },
  ]);
  expect(await check(split.text, split.parts, { consumer: 'esxi' })).toMatchObject([{ rule: 'vmdk-kind' }]);
});

describe('each rule of a sparse disk, broken alone', () => {
  const cases: Readonly<Record<string, Case>> = {
    'no magic': [['vmdk-magic'], u32(0, 1)],
    'version 4': [['vmdk-version'], u32(4, 4)],
    'version 2': [['vmdk-version'], u32(4, 2)],
    'version 3, uncompressed': [['vmdk-version'], u32(4, 3)],
    newlines: [['vmdk-newlines'], u32(73, 0x0a0a200a)],
    'unknown flags': [['vmdk-flags'], u32(8, 0x103)],
    'markers without compression': [['vmdk-flags'], u32(8, 0x20003)],
    'capacity 0': [['vmdk-capacity', 'vmdk-extent-size'], u64(12, 0n)],
    'capacity 2^60': [['vmdk-capacity', 'vmdk-extent-size'], u64(12, 1n << 60n)],
    'a grain of 12 sectors': [['vmdk-grain-size'], u64(20, 12n)],
    'tables of 1024 entries': [['vmdk-table-size'], u32(44, 1024)],
    'unclean shutdown': [['vmdk-unclean'], (bytes) => void (bytes[72] = 1)],
    'no descriptor': [['vmdk-descriptor-place'], u64(28, 0n)],
    'a huge descriptor': [['vmdk-descriptor-place', 'vmdk-overhead'], u64(36, 1n << 40n)],
    'a short descriptor': [['vmdk-descriptor-room'], u64(36, 10n)],
    'no overhead': [['vmdk-overhead'], u64(64, 0n)],
    'another first line': [['vmdk-descriptor-first-line'], text('# Disk DescriptorFile', '# disk')],
    'an indented line': [['vmdk-descriptor-indented'], text('version=1', ' version=1')],
    'descriptor version 2': [['vmdk-descriptor-version'], text('version=1', 'version=2')],
    'descriptor version 9': [['vmdk-descriptor-version'], text('version=1', 'version=9')],
    'content ID ffffffff': [['vmdk-content-id'], text(/CID=\w+/, 'CID=ffffffff')],
    'no content ID': [['vmdk-content-id'], text(/\nCID=\w+/, '')],
    'a parent without a number': [['vmdk-parent-id'], text('parentCID=ffffffff', 'parentCID=zz')],
    'a hint at no parent': [['vmdk-parent-hint'], text('version=1', 'version=1\nparentFileNameHint="/etc/passwd"')],
    'a path': [['vmdk-foreign-name'], text('"disk.vmdk"', '"/etc/passwd"')],
    'an unknown adapter': [['vmdk-adapter'], text('"lsilogic"', '"nvme"')],
    'prose in the descriptor': [['vmdk-descriptor'], text('version=1', 'hello')],
    'another kind': [['vmdk-create-type'], text('monolithicSparse', 'streamOptimized')],
    'a flat extent': [['vmdk-extents'], text('SPARSE "', 'FLAT "')],
    'another size': [['vmdk-extent-size'], text(/RW \d+/, 'RW 12345')],
    'directory outside': [['vmdk-directory'], u64(56, 1n << 33n)],
    'copy outside': [['vmdk-redundant-directory'], u64(48, 1n << 33n)],
    'copy differs': [['vmdk-redundant-table'], (bytes) => void (bytes[22 * 512 + 8] = 1)],
    'a table outside': [
      ['vmdk-directory'],
      (bytes) => void bytes.writeUInt32LE(0xffff_ffff, Number(bytes.readBigUInt64LE(56)) * 512),
    ],
  };
  for (const [name, [rules, change]] of Object.entries(cases)) {
    it(name, async () => {
      const copy = Buffer.from(sparse);
      const findings = await check(change(copy) ?? copy);
      expect([...new Set(findings.map(({ rule }) => rule))]).toEqual(rules);
      for (const { message } of findings) expect(message).not.toBe('');
    });
  }

  it('a grain outside, twice, or zero by decree', async () => {
    for (const [rule, value] of [
      ['vmdk-grain', () => 0xffff_fff0],
      ['vmdk-grain-overlap', (first: number) => first],
      ['vmdk-grain-overlap', (first: number) => first + 1],
      ['vmdk-zero-grain', () => 1],
    ] as const) {
      const copy = Buffer.from(sparse);
      for (const field of [48, 56]) {
        const table = copy.readUInt32LE(Number(copy.readBigUInt64LE(field)) * 512) * 512;
        copy.writeUInt32LE(value(copy.readUInt32LE(table)), table + 4);
      }
      expect(
        (await check(copy)).map((finding) => finding.rule),
        rule,
      ).toEqual([rule]);
    }
  });

  it('counts what is too much to tell', async () => {
    const copy = Buffer.from(sparse);
    for (const field of [48, 56]) {
      const table = copy.readUInt32LE(Number(copy.readBigUInt64LE(field)) * 512) * 512;
      for (let entry = 0; entry < 512; entry++) copy.writeUInt32LE(0xffff_0000, table + entry * 4);
    }
    const findings = await check(copy);
    expect(findings.length).toBe(11);
    expect(findings[10]?.message).toBe('502 more of these');
  });
});

describe('each rule of a stream, broken alone', () => {
  const cases: Readonly<Record<string, () => Case>> = {
    'version 1': () => [['vmdk-version'], both(u32(4, 1))],
    'unknown compression': () => [['vmdk-compression'], both((bytes) => void bytes.writeUInt16LE(2, 77))],
    'no footer': () => [['vmdk-footer'], (bytes) => bytes.subarray(0, -1)],
    'no footer marker': () => [['vmdk-footer'], (bytes) => void bytes.writeUInt32LE(9, bytes.length - 1536 + 12)],
    'no end marker': () => [['vmdk-end'], (bytes) => void bytes.writeUInt32LE(3, bytes.length - 500)],
    'a footer that differs': () => [
      ['vmdk-footer-differs'],
      (bytes) => void bytes.writeUInt32LE(9, bytes.length - 1024 + 12),
    ],
    'a table outside': () => [['vmdk-directory'], u32(at.directory, 0xffff_ffff)],
    'a table used twice': () => [
      ['vmdk-directory'],
      (bytes) => void bytes.copyWithin(at.directory + 4, at.directory, at.directory + 4),
    ],
    'a marker of another grain': () => [['vmdk-grain-marker'], u64(at.first, 127n)],
    'an endless grain': () => [['vmdk-grain-length'], u32(at.first + 8, 0xffff_ffff)],
    'grains in another order': () => [
      ['vmdk-grain-order'],
      (bytes) => {
        // Both become one sector long, the second in front.
        for (const [grain, place] of [
          [1, at.first],
          [0, at.second],
        ] as const) {
          bytes.writeBigUInt64LE(BigInt(grain) * 128n, place);
          bytes.writeUInt32LE(100, place + 8);
          bytes.writeUInt32LE(place / 512, at.table + grain * 4);
        }
      },
    ],
  };
  for (const [name, make] of Object.entries(cases)) {
    it(name, async () => {
      const [rules, change] = make();
      const copy = Buffer.from(stream);
      const findings = await check(change(copy) ?? copy);
      expect([...new Set(findings.map(({ rule }) => rule))]).toEqual(rules);
    });
  }

  it('an end that is not marked, with the directory in front', async () => {
    const front = Buffer.concat([stream.subarray(0, -1536), Buffer.alloc(512)]);
    front.writeBigUInt64LE(BigInt(at.directory / 512), 56);
    expect(await check(front)).toEqual([]);
    front.writeUInt32LE(9, front.length - 500);
    expect(await check(front)).toMatchObject([{ rule: 'vmdk-end', severity: 'warning' }]);
    expect(await check(front.subarray(0, -1))).toMatchObject([{ rule: 'vmdk-end' }]);
  });
});

describe('each rule of a disk of several files, broken alone', () => {
  const part = 'disk-s001.vmdk';
  const changed = (change: (bytes: Buffer) => Buffer | void) => {
    const copy = Buffer.from(split.parts.get(part) ?? []);
    return new Map([[part, change(copy) ?? copy]]);
  };
  const line = (from: string | RegExp, to: string) => Buffer.from(split.text.toString().replace(from, to));

  it('the descriptor', async () => {
    for (const [rule, bytes] of [
      ['vmdk-extents', line('"twoGbMaxExtentSparse"', '"fullDevice"')],
      ['vmdk-descriptor', line('version=1', 'version')],
      ['vmdk-extent-file', line('disk-s001', 'disk-s002')],
      ['vmdk-extent-size', line(/RW \d+/, 'RW 12345')],
      ['vmdk-extent-size', line(/RW \d+ SPARSE/, 'RW 99999999 FLAT')],
      ['vmdk-content-id', line(/\nCID=\w+/, '')],
    ] as const)
      expect(
        (await check(bytes, split.parts)).map((finding) => finding.rule),
        rule,
      ).toEqual([rule]);
    const foreign = await check(line(part, '/etc/passwd'), split.parts);
    expect(foreign.map(({ rule }) => rule)).toEqual(['vmdk-foreign-name', 'vmdk-extent-file']);
    const { beside: _, ...nowhere } = memoryFile(split.text);
    const findings = [];
    for await (const finding of checkVmdk(nowhere, { signal })) findings.push(finding.rule);
    expect(findings).toEqual(['vmdk-extent-file']);
  });

  it('the parts', async () => {
    for (const [rule, change] of [
      ['vmdk-magic', u32(0, 5)],
      ['vmdk-unclean', (bytes: Buffer) => void (bytes[72] = 1)],
      ['vmdk-version', u32(4, 2)],
      ['vmdk-directory', u64(56, 1n << 40n)],
      ['vmdk-unreadable', (bytes: Buffer) => void bytes.write('COWD')],
    ] as const) {
      const findings = await check(split.text, changed(change));
      expect(
        findings.map((finding) => finding.rule),
        rule,
      ).toEqual([rule]);
    }
  });
});
