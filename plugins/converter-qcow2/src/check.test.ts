import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding, Patch } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile, noise, texture, write } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkQcow2 } from './check.js';
import { HEADER } from './layout.js';
import { qcow2 } from './qcow2.js';
import { repairQcow2 } from './repair.js';
import { xenQcow2 } from './xen-qcow2.js';

const { signal } = new AbortController();
const KiB = 1024;
const MiB = 1024 * KiB;
const CLUSTER = 4 * KiB;

async function findingsOf(bytes: Uint8Array, consumer?: string): Promise<Finding[]> {
  const list: Finding[] = [];
  const options = consumer === undefined ? { signal } : { signal, consumer };
  for await (const finding of checkQcow2(memoryFile(bytes), options)) list.push(finding);
  return list;
}

const rulesOf = async (bytes: Uint8Array, consumer?: string) => [
  ...new Set((await findingsOf(bytes, consumer)).map(({ rule }) => rule)),
];

async function repaired(bytes: Uint8Array): Promise<Buffer> {
  const patches: Patch[] = [];
  for await (const patch of repairQcow2(memoryFile(bytes), signal)) patches.push(patch);
  const size = patches.reduce((most, patch) => Math.max(most, patch.offset + patch.bytes.length), bytes.length);
  const whole = Buffer.alloc(size);
  whole.set(bytes);
  for (const patch of patches) whole.set(patch.bytes, patch.offset);
  return whole;
}

/** Positions in an image of ours, found by following its header. */
function places(bytes: Buffer) {
  const l1 = Number(bytes.readBigUInt64BE(HEADER.l1TableOffset));
  const l2 = Number(bytes.readBigUInt64BE(l1) & 0xff_ffff_ffff_fe00n);
  const refcountTable = Number(bytes.readBigUInt64BE(HEADER.refcountTableOffset));
  const refcountBlock = Number(bytes.readBigUInt64BE(refcountTable));
  return { l1, l2, refcountTable, refcountBlock };
}

type Mutation = (bytes: Buffer, at: ReturnType<typeof places>) => void;

interface Case {
  readonly rule: string;
  /** Exit code of `qemu-img check`: 1 cannot open, 2 errors, 3 leaks; 0 where QEMU does not look. */
  readonly qemu: number;
  readonly mutate: Mutation;
  /** What follows from the same damage. */
  readonly also?: readonly string[];
  /** Whether `repair` mends it. */
  readonly mends?: boolean;
  readonly compression?: 'zlib';
  readonly compat?: '0.10';
}

const set = (bytes: Buffer, at: number, bits: bigint) => bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) | bits, at);
const clear = (bytes: Buffer, at: number, bits: bigint) =>
  bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) & ~bits, at);
const COPIED = 1n << 63n;
const leaks = ['qcow2-leak'];

const cases: Readonly<Record<string, Case>> = {
  'another magic number': { rule: 'qcow2-magic', qemu: 1, mutate: (b) => b.writeUInt32BE(0x514649fa, HEADER.magic) },
  'version 4': { rule: 'qcow2-version', qemu: 1, mutate: (b) => b.writeUInt32BE(4, HEADER.version) },
  'clusters of 256 bytes': {
    rule: 'qcow2-cluster-bits',
    qemu: 1,
    mutate: (b) => b.writeUInt32BE(8, HEADER.clusterBits),
  },
  'clusters of 4 MiB': { rule: 'qcow2-cluster-bits', qemu: 1, mutate: (b) => b.writeUInt32BE(22, HEADER.clusterBits) },
  'a header that is too short': {
    rule: 'qcow2-header-length',
    qemu: 1,
    mutate: (b) => b.writeUInt32BE(103, HEADER.headerLength),
  },
  'a header of an odd length': {
    rule: 'qcow2-header-length',
    qemu: 0,
    mutate: (b) => b.writeUInt32BE(117, HEADER.headerLength),
  },
  'an unknown feature': {
    rule: 'qcow2-feature-unknown',
    qemu: 1,
    mutate: (b) => set(b, HEADER.incompatibleFeatures, 1n << 9n),
  },
  'an external data file': { rule: 'qcow2-data-file', qemu: 1, mutate: (b) => set(b, HEADER.incompatibleFeatures, 4n) },
  'the mark of an unclean end': {
    rule: 'qcow2-dirty',
    qemu: 0,
    mends: true,
    mutate: (b) => set(b, HEADER.incompatibleFeatures, 1n),
  },
  'the mark of damage': {
    rule: 'qcow2-corrupt',
    qemu: 0,
    mends: true,
    mutate: (b) => set(b, HEADER.incompatibleFeatures, 2n),
  },
  'zstd without its bit': {
    rule: 'qcow2-compression-type',
    qemu: 1,
    mutate: (b) => b.writeUInt8(1, HEADER.compressionType),
  },
  'compression 7': { rule: 'qcow2-compression-type', qemu: 1, mutate: (b) => b.writeUInt8(7, HEADER.compressionType) },
  'counts of 128 bits': {
    rule: 'qcow2-refcount-order',
    qemu: 1,
    mutate: (b) => b.writeUInt32BE(7, HEADER.refcountOrder),
  },
  encryption: { rule: 'qcow2-encrypted', qemu: 1, mutate: (b) => b.writeUInt32BE(2, HEADER.cryptMethod) },
  'too many snapshots': {
    rule: 'qcow2-snapshot-count',
    qemu: 1,
    mutate: (b) => b.writeUInt32BE(65_537, HEADER.snapshotCount),
  },
  'a snapshot table beside a cluster': {
    rule: 'qcow2-snapshot-table',
    qemu: 1,
    mutate: (b) => {
      b.writeUInt32BE(1, HEADER.snapshotCount);
      b.writeBigUInt64BE(100n, HEADER.snapshotsOffset);
    },
  },
  'an L1 table beside a cluster': {
    rule: 'qcow2-l1-offset',
    qemu: 1,
    mutate: (b, { l1 }) => b.writeBigUInt64BE(BigInt(l1 + 512), HEADER.l1TableOffset),
  },
  'an absurd L1 table': { rule: 'qcow2-l1-size', qemu: 1, mutate: (b) => b.writeUInt32BE(0x7fffffff, HEADER.l1Size) },
  'a disk that the L1 table does not cover': {
    rule: 'qcow2-size',
    qemu: 1,
    mutate: (b) => b.writeBigUInt64BE(1n << 40n, HEADER.size),
  },
  'half a sector': {
    rule: 'qcow2-size',
    qemu: 0,
    mutate: (b) => b.writeBigUInt64BE(BigInt(6 * MiB - 100), HEADER.size),
  },
  'no refcount table': {
    rule: 'qcow2-refcount-table',
    qemu: 2,
    mends: true,
    also: ['qcow2-refcount', 'qcow2-copied'],
    mutate: (b) => b.writeUInt32BE(0, HEADER.refcountTableClusters),
  },
  'a backing name outside the first cluster': {
    rule: 'qcow2-backing-name',
    qemu: 1,
    mutate: (b) => {
      b.writeBigUInt64BE(BigInt(CLUSTER - 4), HEADER.backingFileOffset);
      b.writeUInt32BE(8, HEADER.backingFileSize);
    },
  },
  'a header extension that does not end': {
    rule: 'qcow2-extension-length',
    qemu: 1,
    mutate: (b) => b.writeBigUInt64BE(0x12345678_7fffffffn, 112),
  },
  'reserved bits in an L1 entry': { rule: 'qcow2-l1-reserved', qemu: 2, mutate: (b, { l1 }) => set(b, l1, 1n << 56n) },
  'an L2 table beside a cluster': {
    rule: 'qcow2-l2-unaligned',
    qemu: 2,
    also: ['qcow2-leak', 'qcow2-copied', 'qcow2-refcount'],
    mutate: (b, { l1 }) => set(b, l1, 512n),
  },
  'an L2 table behind the end': {
    rule: 'qcow2-l2-outside',
    qemu: 2,
    also: leaks,
    mutate: (b, { l1 }) => set(b, l1, 1n << 40n),
  },
  'an L2 table in the header': {
    rule: 'qcow2-l2-outside',
    qemu: 2,
    also: leaks,
    mutate: (b, { l1 }) => set(b, l1, 1n << 50n),
  },
  'the L1 table as its own L2 table': {
    rule: 'qcow2-overlap',
    qemu: 2,
    also: ['qcow2-leak', 'qcow2-refcount', 'qcow2-copied'],
    mutate: (b, { l1 }) => b.writeBigUInt64BE(BigInt(l1) | COPIED, l1),
  },
  'an L2 table that serves two ranges': {
    rule: 'qcow2-l2-shared',
    qemu: 2,
    also: ['qcow2-leak', 'qcow2-refcount'],
    mutate: (b, { l1 }) => b.copy(b, l1 + 8, l1, l1 + 8),
  },
  'an L1 entry without COPIED': {
    rule: 'qcow2-copied',
    qemu: 2,
    mends: true,
    mutate: (b, { l1 }) => clear(b, l1, COPIED),
  },
  'an L1 entry with nothing but COPIED': {
    rule: 'qcow2-copied',
    qemu: 2,
    mends: true,
    mutate: (b, { l1 }) => set(b, l1 + 8, COPIED),
  },
  'an L2 entry without COPIED': {
    rule: 'qcow2-copied',
    qemu: 2,
    mends: true,
    mutate: (b, { l2 }) => clear(b, l2, COPIED),
  },
  'reserved bits in an L2 entry': { rule: 'qcow2-l2-reserved', qemu: 2, mutate: (b, { l2 }) => set(b, l2, 1n << 57n) },
  'a data cluster beside a cluster': {
    rule: 'qcow2-cluster-unaligned',
    qemu: 2,
    also: leaks,
    mutate: (b, { l2 }) => set(b, l2, 512n),
  },
  'a data cluster behind the end': {
    rule: 'qcow2-cluster-outside',
    qemu: 2,
    also: leaks,
    mutate: (b, { l2 }) => set(b, l2, 1n << 41n),
  },
  'a data cluster that is used twice': {
    rule: 'qcow2-refcount',
    qemu: 2,
    mends: true,
    also: leaks,
    mutate: (b, { l2 }) => b.copy(b, l2 + 8, l2, l2 + 8),
  },
  'a data cluster in the L1 table': {
    rule: 'qcow2-overlap',
    qemu: 2,
    also: ['qcow2-leak', 'qcow2-refcount'],
    mutate: (b, { l1, l2 }) => b.writeBigUInt64BE(BigInt(l1) | COPIED, l2),
  },
  'a data cluster that is lost': {
    rule: 'qcow2-leak',
    qemu: 3,
    mends: true,
    mutate: (b, { l2 }) => b.writeBigUInt64BE(0n, l2),
  },
  'the zero flag in version 2': {
    rule: 'qcow2-zero-flag',
    qemu: 0,
    compat: '0.10',
    mutate: (b, { l2 }) => set(b, l2, 1n),
  },
  'COPIED on a compressed cluster': {
    rule: 'qcow2-compressed-copied',
    qemu: 2,
    mends: true,
    compression: 'zlib',
    mutate: (b, { l2 }) => set(b, l2 + 8, COPIED),
  },
  'a compressed cluster behind the end': {
    rule: 'qcow2-compressed-outside',
    qemu: 2,
    also: leaks,
    compression: 'zlib',
    mutate: (b, { l2 }) => set(b, l2 + 8, 1n << 44n),
  },
  'a count that is too small': {
    rule: 'qcow2-refcount',
    qemu: 2,
    mends: true,
    also: ['qcow2-copied'],
    mutate: (b, { refcountBlock }) => b.writeUInt16BE(0, refcountBlock + 2),
  },
  'a count that is too large': {
    rule: 'qcow2-leak',
    qemu: 2,
    mends: true,
    also: ['qcow2-copied'],
    mutate: (b, { refcountBlock }) => b.writeUInt16BE(2, refcountBlock + 2),
  },
  'a refcount block behind the end': {
    rule: 'qcow2-refcount-block',
    qemu: 2,
    mends: true,
    also: ['qcow2-refcount', 'qcow2-copied'],
    mutate: (b, { refcountTable }) => set(b, refcountTable, 1n << 40n),
  },
  'a refcount block in a data cluster': {
    rule: 'qcow2-refcount-block',
    qemu: 2,
    mends: true,
    also: ['qcow2-refcount', 'qcow2-copied', 'qcow2-leak'],
    mutate: (b, { refcountTable, l2 }) => b.writeBigUInt64BE(b.readBigUInt64BE(l2) & ~COPIED, refcountTable),
  },
  'no refcount block': {
    rule: 'qcow2-refcount',
    qemu: 2,
    mends: true,
    also: ['qcow2-copied'],
    mutate: (b, { refcountTable }) => b.writeBigUInt64BE(0n, refcountTable),
  },
};

/** Three L1 entries, two of them with a table, in version 3 with small clusters. */
async function sample(options: Readonly<Record<string, unknown>> = {}): Promise<Buffer> {
  const disk = memoryDisk(6 * MiB, [
    { offset: 0, bytes: texture(200 * KiB, 3) },
    { offset: 5 * MiB, bytes: texture(100 * KiB, 4) },
  ]);
  const { sink } = await write(qcow2, disk, { cluster: CLUSTER, ...options });
  return Buffer.from(sink.bytes());
}

describe('check', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const qemu = available('qemu-img', 'qemu-utils');

  /** What qemu-img check thinks: its exit code. */
  const verdict = async (bytes: Uint8Array): Promise<number> => {
    const path = join(directory, 'judged.qcow2');
    await writeFile(path, bytes);
    return judgeWith('qemu-img', ['check', '-f', 'qcow2', path]).then(
      () => 0,
      (error: unknown) => Number(/ended with (\d+)/.exec((error as Error).message)?.[1]),
    );
  };

  it.each([{}, { compression: 'zlib' }, { compat: '0.10' }, { cluster: '2M' }, { preallocation: 'metadata' }])(
    'finds nothing in a sound image, %o',
    async (options) => {
      expect(await findingsOf(await sample(options))).toEqual([]);
    },
  );

  for (const [name, { rule, qemu: code, mutate, also = [], mends = false, ...options }] of Object.entries(cases)) {
    it(`finds ${name}, as qemu-img does (${code})${mends ? ', and mends it' : ''}`, async () => {
      const bytes = await sample(options);
      mutate(bytes, places(bytes));
      const rules = await rulesOf(bytes);
      expect(rules).toContain(rule);
      expect([rule, ...also]).toEqual(expect.arrayContaining(rules));
      if (qemu) expect(await verdict(bytes)).toBe(code);

      const after = await repaired(bytes);
      expect(after.equals(bytes)).toBe(!mends);
      if (!mends) return;
      expect(await findingsOf(after)).toEqual([]);
      if (qemu) expect(await verdict(after)).toBe(0);
    });
  }

  it('tells of a thousand broken entries in a bounded number of findings', async () => {
    const bytes = await sample();
    const { l2 } = places(bytes);
    for (let at = 0; at < CLUSTER; at += 8) bytes.writeBigUInt64BE(1n << 41n, l2 + at);
    const outside = (await findingsOf(bytes)).filter(({ rule }) => rule === 'qcow2-cluster-outside');
    expect(outside.length).toBe(11);
    expect(outside.at(-1)?.message).toMatch(/502 more places/);
  });

  it.skipIf(!qemu)('agrees with qemu-img on snapshots, bitmaps, sub-clusters and every width of counts', async () => {
    await writeFile(join(directory, 'disk.raw'), texture(2 * MiB, 9));
    const kinds = [
      'refcount_bits=8',
      'refcount_bits=64,cluster_size=512',
      'extended_l2=on,cluster_size=16k',
      'compat=0.10',
    ];
    for (const kind of kinds) {
      const path = join(directory, 'made.qcow2');
      await judgeWith('qemu-img', ['convert', '-O', 'qcow2', '-c', '-o', kind, join(directory, 'disk.raw'), path]);
      if (kind !== 'compat=0.10') await judgeWith('qemu-img', ['bitmap', '--add', path, 'marks']);
      await judgeWith('qemu-img', ['snapshot', '-c', 'one', path]);
      await judgeWith('qemu-io', ['-c', 'write -P 5 1M 100k', path]);
      await judgeWith('qemu-img', ['snapshot', '-c', 'two', path]);
      const bytes = await readFile(path);
      expect(await findingsOf(bytes)).toEqual([]);
      // Every count is wrong, and made anew.
      const damaged = Buffer.from(bytes);
      const { refcountBlock } = places(damaged);
      damaged.fill(0, refcountBlock, refcountBlock + 64);
      expect(await rulesOf(damaged)).toContain('qcow2-refcount');
      const after = await repaired(damaged);
      expect(await findingsOf(after)).toEqual([]);
      expect(await verdict(after)).toBe(0);
      await judgeWith('qemu-img', ['compare', '-f', 'qcow2', '-F', 'qcow2', path, join(directory, 'judged.qcow2')]);
    }
  });

  it('mends nothing where the mapping itself is damaged, or where nothing is wrong', async () => {
    const sound = await sample();
    expect((await repaired(sound)).equals(sound)).toBe(true);
    const bytes = await sample();
    const { l2, refcountBlock } = places(bytes);
    bytes.writeUInt16BE(9, refcountBlock + 2);
    set(bytes, l2, 512n);
    expect((await repaired(bytes)).equals(bytes)).toBe(true);
  });

  it('says what each consumer wants', async () => {
    const plain = await sample();
    expect(await rulesOf(plain, 'kvm')).toEqual([]);
    expect(await rulesOf(plain, 'cloudstack')).toEqual(['qcow2-version-3']);
    expect(await rulesOf(await sample({ compat: '0.10' }), 'cloudstack')).toEqual([]);
    expect(await rulesOf(plain, 'xcp-ng')).toEqual(['qcow2-cluster-size', 'qcow2-not-streamable']);
    expect(await rulesOf(await sample({ compression: 'zlib', cluster: '64k' }), 'xcp-ng')).toEqual([
      'qcow2-compressed',
    ]);
    expect(await rulesOf(await sample({ compression: 'zstd' }), 'kvm')).toEqual(['qcow2-zstd']);
    const { sink } = await write(xenQcow2, memoryDisk(600 * MiB, [{ offset: 5 * MiB, bytes: noise(MiB) }]), {});
    expect(await rulesOf(sink.bytes(), 'xcp-ng')).toEqual([]);
    const overlay = Buffer.from(sink.bytes());
    overlay.write('base', 512);
    overlay.writeBigUInt64BE(512n, HEADER.backingFileOffset);
    overlay.writeUInt32BE(4, HEADER.backingFileSize);
    expect(await rulesOf(overlay, 'xcp-ng')).toEqual(['qcow2-backing-file']);
    expect(await rulesOf(overlay, 'cloudstack')).toContain('qcow2-backing-file');
    expect(await rulesOf(overlay)).toEqual([]);
  });
});

describe('check and repair of anything', () => {
  it('end without an exception, and what was mended stays mended', async () => {
    const sources = [
      await sample(),
      await sample({ compression: 'zlib' }),
      Buffer.from((await write(xenQcow2, memoryDisk(MiB, [{ offset: 0, bytes: noise(4096) }]), {})).sink.bytes()),
    ];
    const random = new Uint32Array(noise(4 * 4000, 29).buffer);
    for (let round = 0; round < 400; round++) {
      const bytes = Buffer.from(sources[round % sources.length] as Buffer);
      const { l1, l2, refcountTable, refcountBlock } = places(bytes);
      const areas = [0, l1, l2, refcountTable, refcountBlock];
      const flips = 1 + (round % 3);
      for (let flip = 0; flip < flips; flip++) {
        const [area, at, bit] = [0, 1, 2].map((n) => random[(round * 9 + flip * 3 + n) % random.length] as number);
        const position = (areas[(area as number) % areas.length] as number) + ((at as number) % 160);
        bytes[position] = (bytes[position] as number) ^ (1 << ((bit as number) % 8));
      }
      const before = await findingsOf(bytes, 'xcp-ng');
      const after = await repaired(bytes);
      if (after.equals(bytes)) continue;
      expect(before.length).toBeGreaterThan(0);
      expect(await rulesOf(after)).toEqual([]);
    }
  }, 60_000);

  it('ends with a file of any length', async () => {
    const whole = await sample();
    for (let length = 0; length < whole.length; length += 4099) await findingsOf(whole.subarray(0, length), 'kvm');
  }, 60_000);
});
