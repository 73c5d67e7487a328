import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitOutputs, createDeflater, createIdentity, createOutput, type DiskSink, pump } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile, memorySink, noise, sampleFacts } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { NOW, complaintsAbout, sum } from './vhd-util-check.test-support.js';
import { xenVhd } from './xen-vhd.js';

const KiB = 1024;
const MiB = 2 ** 20;
const GiB = 2 ** 30;
const UNUSED = 0xffff_ffff;

/** A disk with data at its start, in its middle and at its end. */
async function writeDisk(size: number, sink: DiskSink, time = 0): Promise<number> {
  const last = size - 512;
  const middle = Math.floor(size / 2 / (2 * MiB)) * 2 * MiB + 64 * KiB;
  const pieces = new Map([[0, noise(512)]]);
  if (middle + 70 * KiB < last) pieces.set(middle, noise(70 * KiB, 2));
  pieces.set(last, noise(512, 3));
  const disk = memoryDisk(
    size,
    Array.from(pieces, ([offset, bytes]) => ({ offset, bytes })),
  );
  const { signal } = new AbortController();
  const writer = await xenVhd.create({
    size,
    sink,
    options: {},
    output: { name: 'disk', beside: () => Promise.reject(new Error('one file is enough')) },
    furtherDisks: [],
    identity: createIdentity('test', time),
    deflater: createDeflater(),
    appliance: sampleFacts,
    signal,
  });
  await pump(disk, [writer], { signal });
  await writer.finish();
  return writer.size;
}

const sizes: readonly (readonly [string, number])[] = [
  ['one sector', 512],
  ['a sector below 2 MiB', 2 * MiB - 512],
  ['2 MiB', 2 * MiB],
  ['a sector above 2 MiB', 2 * MiB + 512],
  ['37 MiB and 5 sectors', 37 * MiB + 5 * 512],
  ['100 MiB', 100 * MiB],
  ['504 MiB', 504 * MiB],
  ['8 GiB, a multiple of the batmap’s sectors', 8 * GiB],
  ['8 GiB and 2 MiB, one block more', 8 * GiB + 2 * MiB],
  ['the largest with 63 sectors a track', 65535 * 16 * 63 * 512 - 512],
  ['the smallest with 255 sectors a track', 65535 * 16 * 63 * 512],
  ['127 GiB', 127 * GiB],
  ['a sector below 2040 GiB', 2040 * GiB - 512],
  ['2040 GiB', 2040 * GiB],
];

describe('vhd-util check', () => {
  it.each(sizes)('has no complaint about a disk of %s', async (_, size) => {
    const sink = memorySink();
    await writeDisk(size, sink);
    expect(await complaintsAbout(sink.file())).toEqual([]);
  });

  it('has no complaint about a disk that is made in this moment', async () => {
    const sink = memorySink();
    await writeDisk(4 * MiB, sink, NOW + 946_684_800);
    expect(await complaintsAbout(sink.file())).toEqual([]);
    expect(Buffer.from(sink.bytes()).readUInt32BE(24)).toBe(NOW);
  });

  it('has nothing to say about a fixed disk (rule 15)', async () => {
    const image = Buffer.alloc(MiB + 512);
    image.write('conectix', MiB, 'latin1');
    image.writeUInt32BE(2, MiB + 8);
    image.writeUInt32BE(0x10000, MiB + 12);
    image.fill(0xff, MiB + 16, MiB + 24);
    image.writeUInt32BE(MiB, MiB + 52);
    image.writeUInt32BE(2, MiB + 60);
    image.writeUInt32BE(1, MiB + 68);
    image.writeUInt32BE(sum(image.subarray(MiB), 64), MiB + 64);
    expect(await complaintsAbout(memoryFile(image))).toEqual([]);
  });
});

/** Changes one thing in the image of a disk of 6 MiB; the checksums are made right afterwards, unless they are the thing. */
interface Damage {
  readonly rule: number;
  readonly what: string;
  readonly footers?: (footer: Buffer) => void;
  readonly image?: (image: Buffer) => Buffer | void;
  readonly keepChecksums?: true;
}

// Of a disk of 6 MiB: table at 1536, batmap's header at 2048 and map at 2560, first block's data at 4096.
const BATMAP = 2048;
const MAP = 2560;
const FIRST_BITMAP = 4096 - 512;

const damages: readonly Damage[] = [
  { rule: 2, what: 'a byte too much', image: (image) => Buffer.concat([Buffer.alloc(1), image]) },
  { rule: 3, what: 'cookie', footers: (footer) => void footer.write('v_poison', 'latin1') },
  { rule: 4, what: 'checksum', footers: (footer) => void footer.writeUInt32BE(0, 64), keepChecksums: true },
  { rule: 5, what: 'features missing', footers: (footer) => void footer.writeUInt32BE(1, 8) },
  { rule: 5, what: 'features unknown', footers: (footer) => void footer.writeUInt32BE(6, 8) },
  { rule: 6, what: 'version', footers: (footer) => void footer.writeUInt32BE(0x10001, 12) },
  { rule: 7, what: 'fixed with a header', footers: (footer) => void footer.writeUInt32BE(2, 60) },
  { rule: 8, what: 'Unix time', footers: (footer) => void footer.writeUInt32BE(1_700_000_000, 24) },
  { rule: 8, what: 'half an hour and a second ahead', footers: (footer) => void footer.writeUInt32BE(NOW + 1801, 24) },
  { rule: 9, what: 'tap 1.4', footers: (footer) => void footer.writeUInt32BE(0x10004, 32) },
  { rule: 10, what: 'the largest geometry', footers: (footer) => void footer.writeUInt32BE(0xffff10ff, 56) },
  {
    rule: 10,
    what: 'cylinders rounded up',
    footers: (footer) => void footer.writeUInt16BE(footer.readUInt16BE(56) + 1, 56),
  },
  { rule: 11, what: 'type', footers: (footer) => void footer.writeUInt32BE(5, 60) },
  { rule: 12, what: 'saved', footers: (footer) => void footer.writeUInt8(2, 84) },
  { rule: 12, what: 'hidden', footers: (footer) => void footer.writeUInt8(2, 85) },
  { rule: 13, what: 'reserved', footers: (footer) => void footer.writeUInt8(1, 511) },
  { rule: 14, what: 'null uuid', footers: (footer) => void footer.fill(0, 68, 84) },
  { rule: 16, what: 'one footer only', image: (image) => void image.writeUInt32BE(1, 24) },
  { rule: 17, what: 'cookie', image: (image) => void image.write('x', 512, 'latin1') },
  { rule: 17, what: 'checksum', image: (image) => void image.writeUInt32BE(0, 512 + 36), keepChecksums: true },
  { rule: 17, what: 'version', image: (image) => void image.writeUInt32BE(0x20000, 512 + 24) },
  { rule: 17, what: 'data offset', image: (image) => void image.writeUInt32BE(0, 512 + 8) },
  { rule: 18, what: 'table at 0', image: (image) => void image.writeUInt32BE(0, 512 + 20) },
  { rule: 18, what: 'table between sectors', image: (image) => void image.writeUInt32BE(1540, 512 + 20) },
  { rule: 18, what: 'table beyond the end', image: (image) => void image.writeUInt32BE(1, 512 + 16) },
  { rule: 19, what: 'blocks of 4 MiB', image: (image) => void image.writeUInt32BE(4 * MiB, 512 + 32) },
  { rule: 19, what: 'blocks of 3 MiB', image: (image) => void image.writeUInt32BE(3 * MiB, 512 + 32) },
  { rule: 20, what: 'first reserved area', image: (image) => void image.writeUInt32BE(1, 512 + 60) },
  { rule: 20, what: 'second reserved area', image: (image) => void image.writeUInt8(1, 512 + 1023) },
  { rule: 21, what: 'locator code', image: (image) => void image.write('evil', 512 + 576, 'latin1') },
  { rule: 22, what: 'parent uuid', image: (image) => void image.writeUInt8(1, 512 + 40) },
  { rule: 22, what: 'parent time', image: (image) => void image.writeUInt8(1, 512 + 56) },
  { rule: 22, what: 'parent name', image: (image) => void image.writeUInt8(65, 512 + 65) },
  { rule: 22, what: 'parent locator', image: (image) => void image.writeUInt8(1, 512 + 576 + 8) },
  { rule: 24, what: 'entries', image: (image) => void image.writeUInt32BE(2, 512 + 28) },
  { rule: 25, what: 'block over the map', image: (image) => void image.writeUInt32BE(MAP / 512, 1536) },
  {
    rule: 26,
    what: 'block over the footer',
    image: (image) => void image.writeUInt32BE(image.length / 512 - 4096, 1536),
  },
  { rule: 27, what: 'one block twice', image: (image) => void image.copy(image, 1540, 1536, 1540) },
  { rule: 27, what: 'overlap', image: (image) => void image.writeUInt32BE(image.readUInt32BE(1536) + 4096, 1540) },
  { rule: 28, what: 'bitmap', image: (image) => void image.writeUInt8(0x7f, FIRST_BITMAP) },
  { rule: 29, what: 'cookie', image: (image) => void image.write('x', BATMAP, 'latin1') },
  { rule: 29, what: 'version', image: (image) => void image.writeUInt32BE(0x10003, BATMAP + 20) },
  { rule: 29, what: 'checksum', image: (image) => void image.writeUInt8(0x80, MAP) },
  { rule: 29, what: 'no size', image: (image) => void image.writeUInt32BE(0, BATMAP + 16) },
  { rule: 29, what: 'no offset', image: (image) => void image.writeUInt32BE(0, BATMAP + 12) },
  { rule: 29, what: 'offset between sectors', image: (image) => void image.writeUInt32BE(MAP + 1, BATMAP + 12) },
  { rule: 29, what: 'end', image: (image) => void image.writeUInt32BE(image.length - 512, BATMAP + 12) },
  {
    rule: 30,
    what: 'full but absent',
    image: (image) => {
      image.writeUInt32BE(UNUSED, 1536);
      image.writeUInt8(0x80, MAP);
      image.writeUInt32BE(sum(image.subarray(MAP, MAP + 512)), BATMAP + 24);
    },
  },
];

describe('the check itself', () => {
  it.each(damages)('complains by rule $rule: $what', async ({ rule, footers, image: change, keepChecksums }) => {
    const sink = memorySink();
    await writeDisk(6 * MiB, sink);
    let image: Buffer = Buffer.from(sink.bytes());
    expect(await complaintsAbout(memoryFile(image))).toEqual([]);
    const ends = () => [image.subarray(0, 512), image.subarray(-512)];
    if (footers !== undefined) ends().forEach(footers);
    image = change?.(image) ?? image;
    if (keepChecksums === undefined) {
      for (const footer of ends()) footer.writeUInt32BE(sum(footer, 64), 64);
      const header = image.subarray(512, 1536);
      header.writeUInt32BE(sum(header, 36), 36);
    }
    const rules = (await complaintsAbout(memoryFile(image))).map((complaint) => complaint.rule);
    expect(rules).toContain(rule);
  });

  it('was made to fail by every rule there is for a disk without a parent', () => {
    // 1 is about the file's kind, 15 the end of the check for fixed disks, 23 and from 31 on about parents.
    const all = Array.from({ length: 30 }, (_, index) => index + 1).filter((rule) => ![1, 15, 23].includes(rule));
    expect([...new Set(damages.map(({ rule }) => rule))]).toEqual(all);
  });
});

describe.skipIf(!available('qemu-img', 'qemu-utils'))('QEMU', () => {
  it('sees exactly the size that was written, whatever the geometry', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      for (const [index, [, size]] of sizes.entries()) {
        const path = join(directory, `${index}.vhd`);
        const output = await createOutput(path, false);
        const written = await writeDisk(size, output.sink);
        await commitOutputs([output], false);
        expect(written).toBe(Math.ceil(size / (2 * MiB)) * 2 * MiB);
        const info = JSON.parse(await judgeWith('qemu-img', ['info', '-f', 'vpc', '--output=json', path])) as object;
        expect(info).toMatchObject({ 'virtual-size': written });
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  }, 60_000);
});
