import { type Patch, UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { memoryDisk, memoryFile, memorySink } from '@polyvisor/testkit';
import { pump } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { checkVhd } from './check/check.js';
import { createFixedVhd } from './fixed-writer.js';
import { DynamicVhdWriter } from './dynamic-writer.js';
import { openVhd } from './open.js';
import { repairVhd } from './repair.js';

const MiB = 2 ** 20;
const now = UNIX_SECONDS_OF_2000 + 800_000_000;
const { signal } = new AbortController();

const stamp = {
  creatorApplication: 'tap',
  creatorVersion: 0x0001_0003,
  creatorHostOs: '',
  time: UNIX_SECONDS_OF_2000,
  uuid: '01020304-0506-8708-890a-0b0c0d0e0f10',
};
const bytes = new Uint8Array(4096).fill(7);

async function dynamic(): Promise<Buffer> {
  const sink = memorySink();
  const writer = new DynamicVhdWriter({ sink, size: 6 * MiB, stamp, sparse: true, batmap: true, signal });
  await pump(memoryDisk(6 * MiB, [{ offset: 2 * MiB, bytes }]), [writer], { signal });
  await writer.finish();
  return Buffer.from(sink.bytes());
}

async function fixed(): Promise<Buffer> {
  const sink = memorySink();
  const writer = createFixedVhd({ sink, size: MiB, stamp, sparse: true, signal });
  await pump(memoryDisk(MiB, [{ offset: 4096, bytes }]), [writer], { signal });
  await writer.finish();
  return Buffer.from(sink.bytes());
}

async function patchesOf(image: Uint8Array): Promise<Patch[]> {
  const patches: Patch[] = [];
  for await (const patch of repairVhd(memoryFile(image), signal, { now })) patches.push(patch);
  return patches;
}

async function rulesOf(image: Uint8Array): Promise<string[]> {
  const rules: string[] = [];
  for await (const { rule } of checkVhd(memoryFile(image), { signal, now })) rules.push(rule);
  return rules;
}

function apply(image: Buffer, patches: readonly Patch[]): Buffer {
  const end = Math.max(image.length, ...patches.map(({ offset, bytes }) => offset + bytes.length));
  const mended = Buffer.concat([image], end);
  for (const { offset, bytes } of patches) mended.set(bytes, offset);
  return mended;
}

const footers = (image: Buffer) => [image.subarray(0, 512), image.subarray(-512)];
const sum = (structure: Buffer, field: number) => {
  structure.writeUInt32BE(0, field);
  structure.writeUInt32BE(~structure.reduce((total, byte) => total + byte, 0) >>> 0, field);
};
/** Changes both footers, and makes their checksums right. */
const inFooters = (change: (footer: Buffer) => void) => (image: Buffer) => {
  for (const footer of footers(image)) {
    change(footer);
    sum(footer, 64);
  }
};
const inHeader = (change: (header: Buffer) => void) => (image: Buffer) => {
  change(image.subarray(512, 1536));
  sum(image.subarray(512, 1536), 36);
};

const damages: Readonly<Record<string, (image: Buffer) => Buffer | void>> = {
  'the footer is cut off': (image) => image.subarray(0, -512),
  'the footer is cut off in the middle': (image) => image.subarray(0, -200),
  'the footer is cut off in the middle of a short one': (image) => image.subarray(0, -2),
  'the footer is overwritten': (image) => void image.fill(0x55, image.length - 512),
  'one byte of the footer is wrong': (image) => void image.writeUInt8(9, image.length - 512 + 300),
  'the copy is overwritten': (image) => void image.fill(0, 0, 512),
  'the copy has another time': (image) => {
    image.writeUInt32BE(5, 24);
    sum(image.subarray(0, 512), 64);
  },
  'the last footer is of another disk': (image) => {
    image.subarray(-512).writeUInt32BE(64 * MiB, 52);
    sum(image.subarray(-512), 64);
  },
  'both checksums are wrong': (image) => footers(image).forEach((footer) => footer.writeUInt32BE(1, 64)),
  'the features are wrong': inFooters((footer) => void footer.writeUInt32BE(9, 8)),
  'the version is a minor one ahead': inFooters((footer) => void footer.writeUInt32BE(0x10005, 12)),
  'the time is that of Unix': inFooters((footer) => void footer.writeUInt32BE(UNIX_SECONDS_OF_2000 + 1000, 24)),
  'the time is beyond all clocks': inFooters((footer) => void footer.writeUInt32BE(0xffff_ffff, 24)),
  'the creator is too new': inFooters((footer) => void footer.writeUInt32BE(0x20000, 32)),
  'the original size is 0': inFooters((footer) => void footer.fill(0, 40, 48)),
  'the geometry is the largest': inFooters((footer) => void footer.writeUInt32BE(0xffff_10ff, 56)),
  'the marks are odd': inFooters((footer) => void footer.writeUInt16BE(0x0203, 84)),
  'reserved bytes are set': inFooters((footer) => void footer.fill(1, 86, 90)),
  'there is no unique id': inFooters((footer) => void footer.fill(0, 68, 84)),
  'the header has a wrong checksum': (image) => void image.writeUInt32BE(1, 512 + 36),
  'the header has another one behind it': inHeader((header) => void header.writeUInt32BE(0, 8)),
  'the header has a parent': inHeader((header) => void header.fill(1, 40, 700)),
  'the header has reserved bytes set': inHeader((header) => void header.fill(1, 1000, 1024)),
  'the block map has a wrong checksum': (image) => void image.writeUInt32BE(1, 2048 + 24),
  'the block map tells of what is not there': (image) => {
    image.writeUInt8(0xff, 2560);
    image.writeUInt32BE(~0xff >>> 0, 2048 + 24);
  },
  'the block map is elsewhere': (image) => void image.writeUInt32BE(image.length, 2048 + 12),
  'the block map is gone': (image) => void image.fill(0, 2048, 2560),
};

describe('what can be mended is', () => {
  it.each(Object.keys(damages))('when %s', async (name) => {
    const sound = await dynamic();
    const damaged = Buffer.from(damages[name]?.(sound) ?? sound);
    expect(await rulesOf(damaged)).not.toEqual([]);
    const patches = await patchesOf(damaged);
    const mended = apply(damaged, patches);
    expect(await rulesOf(mended)).toEqual([]);
    expect(await patchesOf(mended)).toEqual([]);
    // Neither the data nor the table were touched.
    const start = (await dynamic()).readUInt32BE(1540) * 512;
    for (const patch of patches) {
      expect(patch.offset + patch.bytes.length <= start || patch.offset >= start + 512 + 2 * MiB).toBe(true);
      expect(patch.offset + patch.bytes.length <= 1536 || patch.offset >= 2048).toBe(true);
    }
    const { disk } = await openVhd(memoryFile(mended));
    const read = Buffer.alloc(4096);
    await disk.read(read, 2 * MiB);
    expect(read.equals(bytes)).toBe(true);
  });

  it('of a fixed disk, too', async () => {
    const image = await fixed();
    image.writeUInt32BE(0, MiB + 64);
    image.writeUInt32BE(0xffff_10ff, MiB + 56);
    expect(await rulesOf(image)).toEqual(['vhd-footer-checksum', 'vhd-footer-geometry']);
    const mended = apply(image, await patchesOf(image));
    expect(await rulesOf(mended)).toEqual([]);
    expect(mended.length).toBe(MiB + 512);
  });
});

describe('nothing is mended', () => {
  it('of a sound disk', async () => {
    expect(await patchesOf(await dynamic())).toEqual([]);
    expect(await patchesOf(await fixed())).toEqual([]);
    expect(await patchesOf((await dynamic()).subarray(0, -1))).toEqual([]);
  });

  it('of a disk that early Xen hid in its copy alone', async () => {
    const image = await dynamic();
    inFooters((footer) => void footer.writeUInt32BE(0x10001, 32))(image);
    image.writeUInt8(1, 85);
    expect(await rulesOf(image)).toEqual([]);
    expect(await patchesOf(image)).toEqual([]);
  });

  it('where it would be a guess', async () => {
    for (const damage of [
      (image: Buffer) => image.subarray(0, MiB), // data is missing
      (image: Buffer) => image.fill(0, 0, 512).fill(0, image.length - 512), // no footer at all
      (image: Buffer) => image.fill(0, 512, 520), // no header
      (image: Buffer) => image.fill(0xf0, 1536, 1548), // no table to believe
    ]) {
      const damaged = damage(await dynamic());
      expect(await rulesOf(damaged)).not.toEqual([]);
      expect(await patchesOf(damaged)).toEqual([]);
    }
    const short = (await fixed()).subarray(4096); // a fixed disk that lost its start
    expect(await patchesOf(short)).toEqual([]);
  });

  it('of anything else', async () => {
    for (const length of [0, 511, 512, 4096]) expect(await patchesOf(new Uint8Array(length))).toEqual([]);
  });

  it('about times without a clock', async () => {
    const image = await dynamic();
    inFooters((footer) => void footer.writeUInt32BE(0xffff_ffff, 24))(image);
    for await (const patch of repairVhd(memoryFile(image), signal)) expect(patch).toBeUndefined();
  });
});
