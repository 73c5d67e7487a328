import { compareDisks, type DiskSource, errorKind, type ImageFile } from '@polyvisor/core';
import { memoryDisk, memoryFile, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { vhdBlockNode } from './block-node.js';
import { detectVhd } from './detect.js';
import { openVhd } from './open.js';

// Images are made here from the format's text, byte by byte, and not with the writers under test.

const KiB = 1024;
const MiB = 2 ** 20;
const signal = new AbortController().signal;

/** What a test changes, by its offset within a structure. */
type Field = readonly [offset: number, bytes: number, value: number | bigint | string];

function put(structure: Buffer, [offset, bytes, value]: Field): void {
  if (typeof value === 'string') structure.write(value, offset, bytes, 'latin1');
  else if (bytes === 8) structure.writeBigUInt64BE(BigInt(value), offset);
  else structure.writeUIntBE(Number(value), offset, bytes);
}

function withSum(structure: Buffer, field: number): Buffer {
  structure.writeUInt32BE(0, field);
  const sum = structure.reduce((total, byte) => total + byte, 0);
  structure.writeUInt32BE(~sum >>> 0, field);
  return structure;
}

function footerOf(type: number, size: number, ...changes: Field[]): Buffer {
  const footer = Buffer.alloc(512);
  const fields: Field[] = [
    [0, 8, 'conectix'],
    [8, 4, 2],
    [12, 4, 0x10000],
    [16, 8, type === 2 ? 0xffff_ffff_ffff_ffffn : 512],
    [24, 4, 86_400],
    [28, 4, 'vbox'],
    [32, 4, 0x0007_0001],
    [36, 4, 'Wi2k'],
    [40, 8, size],
    [48, 8, size],
    [56, 4, 0x003c_0411],
    [60, 4, type],
    [68, 4, 0xdeadbeef],
    [80, 4, 0x01020304],
  ];
  for (const field of [...fields, ...changes]) put(footer, field);
  return withSum(footer, 64);
}

interface Layout {
  readonly size?: number;
  readonly blockSize?: number;
  readonly entries?: number;
  /** Sector of each block's bitmap; 0xffffffff where there is none. */
  readonly table?: readonly number[];
  readonly type?: number;
  readonly footer?: readonly Field[];
  readonly copy?: readonly Field[];
  readonly header?: readonly Field[];
  /** Length of the trailing footer. */
  readonly footerLength?: number;
  /** Put at 2048, behind the table. */
  readonly batmap?: readonly Field[];
}

/** Footer copy at 0, header at 512, table at 1536 (a sector), room for a batmap at 2048, blocks from 4096 up to `end`. */
function dynamicImage(end: number, layout: Layout = {}): Buffer {
  const { size = 4 * MiB, blockSize = 2 * MiB, type = 3 } = layout;
  const entries = layout.entries ?? Math.ceil(size / blockSize);
  const image = Buffer.alloc(end + (layout.footerLength ?? 512));
  const changes = layout.footer ?? [];
  footerOf(type, size, ...changes, ...(layout.copy ?? [])).copy(image, 0);
  const header = image.subarray(512, 1536);
  const fields: Field[] = [
    [0, 8, 'cxsparse'],
    [8, 8, 0xffff_ffff_ffff_ffffn],
    [16, 8, 1536],
    [24, 4, 0x10000],
    [28, 4, entries],
    [32, 4, blockSize],
  ];
  for (const field of [...fields, ...(layout.header ?? [])]) put(header, field);
  withSum(header, 36);
  image.fill(0xff, 1536, 2048);
  layout.table?.forEach((sector, index) => image.writeUInt32BE(sector, 1536 + index * 4));
  if (layout.batmap !== undefined) {
    for (const field of layout.batmap) put(image.subarray(2048, 2560), field);
  }
  footerOf(type, size, ...changes).copy(image, end);
  return image;
}

/** Two blocks of 2 MiB, the second one first; every sector present. */
function swappedBlocks(layout: Layout = {}): { image: Buffer; disk: Uint8Array } {
  const stride = 512 + 2 * MiB;
  const image = dynamicImage(4096 + 2 * stride, { table: [(4096 + stride) / 512, 4096 / 512], ...layout });
  const disk = noise(4 * MiB, 5);
  for (const [index, start] of [4096 + stride, 4096].entries()) {
    image.fill(0xff, start, start + 512);
    image.set(disk.subarray(index * 2 * MiB, (index + 1) * 2 * MiB), start + 512);
  }
  return { image, disk };
}

async function readAll(disk: DiskSource): Promise<Buffer> {
  const whole = Buffer.alloc(disk.size, 0xaa);
  await disk.read(whole, 0);
  return whole;
}

const expectSame = async (first: DiskSource, bytes: Uint8Array) => {
  const second = memoryDisk(bytes.length, [{ offset: 0, bytes }]);
  expect(await compareDisks(first, second, { signal })).toEqual({ equal: true });
};

/** The error of opening; fails when it opens, when another kind of error comes, or when an error says too little. */
async function refusal(image: Uint8Array): Promise<{ code: string; message: string; hint?: string }> {
  const error = await openVhd(memoryFile(image, 'evil.vhd')).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(errorKind(error)).toBe('format');
  expect(error).toMatchObject({ file: 'evil.vhd', expected: expect.any(String), found: expect.any(String) });
  return error as { code: string; message: string; hint?: string };
}

describe('a fixed disk', () => {
  const data = noise(3 * MiB, 1);
  const image = Buffer.concat([data, footerOf(2, 3 * MiB)]);

  it('is read, and its footer shown', async () => {
    const { disk, facts } = await openVhd(memoryFile(image));
    expect(disk.size).toBe(3 * MiB);
    await expectSame(disk, data);
    expect(facts).toEqual({
      subformat: 'fixed',
      creator: 'vbox',
      'creator version': '7.1',
      'original size': 3 * MiB,
      geometry: '60/4/17',
      uuid: 'deadbeef-0000-0000-0000-000001020304',
      created: '2000-01-02T00:00:00.000Z',
    });
  });

  it('is read with a footer of 511 bytes', async () => {
    const { disk } = await openVhd(memoryFile(image.subarray(0, -1)));
    await expectSame(disk, data);
  });

  it('is read with the 32 bits of ones that the specification prints', async () => {
    const literal = Buffer.concat([data, footerOf(2, 3 * MiB, [16, 8, 0xffff_ffffn])]);
    await expectSame((await openVhd(memoryFile(literal))).disk, data);
  });

  it('is read by its current size, whatever its geometry and original size', async () => {
    const odd = Buffer.concat([data, footerOf(2, 2 * MiB, [28, 4, 'qemu'], [40, 8, 5])]);
    expect((await openVhd(memoryFile(odd))).disk.size).toBe(2 * MiB);
  });

  it('is not read beyond its end', async () => {
    const { disk } = await openVhd(memoryFile(image));
    await expect(disk.read(new Uint8Array(513), 3 * MiB - 512)).rejects.toThrow(RangeError);
  });
});

describe('a dynamic disk', () => {
  it('is read with its blocks in any order', async () => {
    const { image, disk } = swappedBlocks();
    const opened = await openVhd(memoryFile(image));
    await expectSame(opened.disk, disk);
    expect((await readAll(opened.disk)).equals(disk)).toBe(true);
    expect(opened.facts).toMatchObject({ subformat: 'dynamic', 'block size': 2 * MiB, blocks: 2, 'blocks stored': 2 });
  });

  it('is read with footers of 511 bytes', async () => {
    const { image, disk } = swappedBlocks({ footerLength: 511 });
    await expectSame((await openVhd(memoryFile(image))).disk, disk);
  });

  it('is read with more table entries than it needs, and with a last block that it needs only in part', async () => {
    const { image, disk } = swappedBlocks({ entries: 100, size: 3 * MiB });
    const opened = await openVhd(memoryFile(image));
    expect(opened.disk.size).toBe(3 * MiB);
    await expectSame(opened.disk, disk.subarray(0, 3 * MiB));
  });

  it('has zeros where a block is not stored', async () => {
    const { image, disk } = swappedBlocks();
    image.writeUInt32BE(0xffff_ffff, 1536);
    disk.fill(0, 0, 2 * MiB);
    const opened = await openVhd(memoryFile(image));
    expect((await readAll(opened.disk)).equals(disk)).toBe(true);
    await expectSame(opened.disk, disk);
  });

  it('has zeros in the sectors that a bitmap lacks, whatever is stored there', async () => {
    const { image, disk } = swappedBlocks();
    image[4096] = 0b0111_1110; // of the second block, the sectors 0 and 7
    image[4096 + 511] = 0xfe; // and the last one
    disk.fill(0, 2 * MiB, 2 * MiB + 512);
    disk.fill(0, 2 * MiB + 7 * 512, 2 * MiB + 8 * 512);
    disk.fill(0, 4 * MiB - 512);
    const opened = await openVhd(memoryFile(image));
    expect((await readAll(opened.disk)).equals(disk)).toBe(true);
    // At positions that are no multiples of a sector too, and across blocks.
    for (const [from, to] of [
      [2 * MiB - 100, 2 * MiB + 700],
      [2 * MiB + 7 * 512 + 1, 2 * MiB + 7 * 512 + 2],
      [2 * MiB + 7 * 512 - 1, 2 * MiB + 8 * 512 + 1],
      [4 * MiB - 513, 4 * MiB],
    ] as const) {
      const part = Buffer.alloc(to - from, 0xaa);
      await opened.disk.read(part, from);
      expect(part.equals(disk.subarray(from, to))).toBe(true);
    }
  });

  it.each([4 * KiB, 64 * KiB, 512 * KiB])('is read with blocks of %i bytes', async (blockSize) => {
    const stride = 512 + blockSize;
    const table = Array.from({ length: 5 }, (_, index) => (4096 + index * stride) / 512);
    const size = 5 * blockSize - 1024;
    const image = dynamicImage(4096 + 5 * stride, { size, blockSize, table });
    const disk = noise(5 * blockSize, 8);
    for (let index = 0; index < 5; index++) {
      const start = 4096 + index * stride;
      image.fill(0xff, start, start + 512);
      image.set(disk.subarray(index * blockSize, (index + 1) * blockSize), start + 512);
    }
    await expectSame((await openVhd(memoryFile(image))).disk, disk.subarray(0, size));
  });

  it('reports only what its file stores, and whole blocks where the file goes backwards', async () => {
    const { image } = swappedBlocks();
    const stride = 512 + 2 * MiB;
    const file = (extents: readonly [number, number][]): ImageFile => ({
      ...memoryFile(image),
      async *extents() {
        for (const [from, to] of extents) yield await Promise.resolve({ offset: from, length: to - from });
      },
    });
    const extentsOf = async (image: ImageFile) => {
      const found: number[][] = [];
      for await (const { offset, length } of (await openVhd(image)).disk.extents())
        found.push([offset, offset + length]);
      return found;
    };
    // The first block of the disk is stored second, the second one first.
    const stored: [number, number][] = [
      [0, 8192],
      [4096 + stride + 512 + 4096, 4096 + stride + 512 + 8192],
      [4096 + stride + 512 + MiB, image.length],
    ];
    expect(await extentsOf(file(stored))).toEqual([
      [4096, 8192],
      [MiB, 2 * MiB],
      [2 * MiB, 4 * MiB],
    ]);
    // In order, both are narrowed down, also by an extent that goes from one block into the next.
    image.writeUInt32BE(4096 / 512, 1536);
    image.writeUInt32BE((4096 + stride) / 512, 1540);
    expect(
      await extentsOf(
        file([
          [0, 2048],
          [4608 + MiB, 4608 + stride + 4096],
          [4608 + stride + MiB, 4608 + stride + MiB + 512],
        ]),
      ),
    ).toEqual([
      [MiB, 2 * MiB],
      [2 * MiB, 2 * MiB + 4096],
      [3 * MiB, 3 * MiB + 512],
    ]);
  });
});

describe('a hostile or damaged VHD is refused', () => {
  const far = 2n ** 63n;
  const parent = Buffer.from('\\\\server\\share\\base.vhd\u001b[2J\0', 'utf16le').swap16();
  const end = swappedBlocks().image.length - 512;
  const lastBlock = (end - 512 - 2 * MiB) / 512;

  it.each<[string, string, Layout]>([
    ['a disk of 2^63 bytes', 'vhd-size', { footer: [[48, 8, far]] }],
    ['a disk of a byte more than 2040 GiB', 'vhd-size', { footer: [[48, 8, 2040n * 2n ** 30n + 512n]] }],
    ['an empty disk', 'vhd-size', { footer: [[48, 8, 0]] }],
    ['a disk that ends inside a sector', 'vhd-size', { footer: [[48, 8, MiB + 1]] }],
    ['an unknown version', 'vhd-version', { footer: [[12, 4, 0x20000]] }],
    ['an unknown type', 'vhd-type', { type: 7 }],
    ['a fixed disk with a dynamic header', 'vhd-type', { footer: [[60, 4, 2]] }],
    ['footers that differ', 'vhd-footers-differ', { copy: [[48, 8, 2 * MiB]] }],
    ['a header over the footer copy', 'vhd-header-offset', { footer: [[16, 8, 0]] }],
    ['a header between sectors', 'vhd-header-offset', { footer: [[16, 8, 513]] }],
    ['a header beyond the end', 'vhd-header-offset', { footer: [[16, 8, far]] }],
    ['a header over the last footer', 'vhd-header-offset', { footer: [[16, 8, end - 512]] }],
    ['no header where there should be one', 'vhd-header-missing', { footer: [[16, 8, 4096]] }],
    ['blocks of 0 bytes', 'vhd-block-size', { header: [[32, 4, 0]] }],
    ['blocks of 512 bytes', 'vhd-block-size', { header: [[32, 4, 512]] }],
    ['blocks of 3 MiB', 'vhd-block-size', { header: [[32, 4, 3 * MiB]] }],
    ['blocks of 4 MiB', 'vhd-block-size', { header: [[32, 4, 4 * MiB]] }],
    ['blocks of 2 GiB', 'vhd-block-size', { header: [[32, 4, 2 ** 31]] }],
    ['too few table entries', 'vhd-table-size', { entries: 1 }],
    ['4 G table entries', 'vhd-table-offset', { entries: 0xffff_ffff }],
    [
      'more blocks than memory should hold',
      'vhd-table-size',
      { footer: [[48, 8, 2n ** 40n]], header: [[32, 4, 4096]], entries: 2 ** 28 },
    ],
    ['a table over the footer copy', 'vhd-table-offset', { header: [[16, 8, 0]] }],
    ['a table over the header', 'vhd-table-offset', { header: [[16, 8, 1024]] }],
    ['a table between sectors', 'vhd-table-offset', { header: [[16, 8, 1540]] }],
    ['a table beyond the end', 'vhd-table-offset', { header: [[16, 8, far]] }],
    ['a table over the last footer', 'vhd-table-offset', { header: [[16, 8, end]] }],
    ['a block over the headers', 'vhd-block-outside', { table: [8, 3] }],
    ['a block at sector 0', 'vhd-block-outside', { table: [0, 8] }],
    ['a block over the last footer', 'vhd-block-outside', { table: [8, lastBlock + 1] }],
    ['a block beyond the end', 'vhd-block-outside', { table: [8, 0xffff_fffe] }],
    ['one block for two', 'vhd-blocks-overlap', { table: [8, 8] }],
    ['blocks that overlap', 'vhd-blocks-overlap', { table: [8, 8 + 4096] }],
    ['a differencing disk', 'vhd-differencing', { type: 4, header: [[64, 512, parent.toString('latin1')]] }],
    [
      'an encrypted disk',
      'vhd-encrypted',
      {
        footer: [[28, 4, 'tap\0']],
        batmap: [
          [0, 8, 'tdbatmap'],
          [29, 1, 1],
        ],
      },
    ],
    [
      'a batmap beyond the end',
      'vhd-batmap',
      {
        footer: [[28, 4, 'tap\0']],
        batmap: [
          [0, 8, 'tdbatmap'],
          [8, 8, 2560],
          [16, 4, 0xffff_ffff],
        ],
      },
    ],
    [
      'a batmap over itself',
      'vhd-batmap',
      {
        footer: [[28, 4, 'tap\0']],
        batmap: [
          [0, 8, 'tdbatmap'],
          [8, 8, 1536],
          [16, 4, 1],
        ],
      },
    ],
    [
      'a batmap without room for its bits',
      'vhd-batmap',
      {
        footer: [[28, 4, 'tap\0']],
        batmap: [
          [0, 8, 'tdbatmap'],
          [8, 8, 2560],
          [16, 4, 0],
        ],
      },
    ],
    [
      'a block over the batmap',
      'vhd-block-outside',
      {
        footer: [[28, 4, 'tap\0']],
        batmap: [
          [0, 8, 'tdbatmap'],
          [8, 8, 4096],
          [16, 4, 1],
        ],
      },
    ],
  ])('%s', async (_, code, layout) => {
    const { image } = swappedBlocks(layout);
    expect((await refusal(image)).code).toBe(code);
  });

  it('with a wrong checksum of the footer or the header', async () => {
    for (const at of [end + 300, 700]) {
      const { image } = swappedBlocks();
      image[at] = 1;
      expect((await refusal(image)).code).toBe('vhd-checksum');
    }
  });

  it('with a fixed disk larger than its file', async () => {
    expect((await refusal(Buffer.concat([Buffer.alloc(MiB), footerOf(2, 2 * MiB)]))).code).toBe('vhd-truncated');
  });

  it('with its end cut off, and says that it probably was', async () => {
    const { image } = swappedBlocks();
    const cut = await refusal(image.subarray(0, 2 * MiB));
    expect(cut.code).toBe('vhd-footer-missing');
    expect(cut.hint).toContain('truncated');
    expect((await refusal(image.subarray(0, 2 * MiB + 100))).code).toBe('vhd-truncated');
    expect((await refusal(new Uint8Array(0))).code).toBe('vhd-truncated');
  });

  it('shows the name of a parent without what could drive a terminal, and reads nothing else', async () => {
    const { image } = swappedBlocks({ type: 4, header: [[64, 512, parent.toString('latin1')]] });
    const { message, hint } = await refusal(image);
    expect(message).toContain('server');
    expect(message).toContain('base.vhd?[2J"');
    expect(message).not.toContain('\u001b');
    expect(hint).toContain('never followed');
  });

  it('without taking memory for a table that is not there', async () => {
    // 2040 GiB in blocks of 2 MiB want a table of 4 MiB; the file has 4 KiB.
    const image = dynamicImage(4096, { size: 2040 * 2 ** 30 });
    const reads: number[] = [];
    const file = memoryFile(image);
    const watched: ImageFile = {
      ...file,
      read: (into, offset) => {
        reads.push(into.length);
        return file.read(into, offset);
      },
    };
    await expect(openVhd(watched)).rejects.toMatchObject({ code: 'vhd-table-offset' });
    expect(Math.max(...reads)).toBeLessThanOrEqual(1024);
  });
});

describe('detection', () => {
  const mine = () => true;
  const other = () => false;
  const fixed = Buffer.concat([noise(MiB, 1), footerOf(2, MiB)]);

  it('is sure of a sound disk of its own creator, and leaves those of others to others', async () => {
    for (const image of [fixed, fixed.subarray(0, -1), swappedBlocks().image, swappedBlocks({ type: 4 }).image]) {
      expect(await detectVhd(memoryFile(image), mine)).toBe('yes');
      expect(await detectVhd(memoryFile(image), other)).toBe('maybe');
    }
    const creators: string[] = [];
    await detectVhd(memoryFile(fixed), (creator) => creators.push(creator) > 0);
    expect(creators).toEqual(['vbox']);
  });

  it('is never sure of a raw disk whose first sector looks like a footer', async () => {
    const raw = swappedBlocks().image;
    raw.fill(0, raw.length - 512);
    expect(await detectVhd(memoryFile(raw), mine)).toBe('maybe');
    expect(await detectVhd(memoryFile(raw), other)).toBe('no');
  });

  it('takes a fixed disk for fixed although its guest wrote a dynamic disk into it', async () => {
    const guest = swappedBlocks().image;
    const image = Buffer.concat([guest, footerOf(2, guest.length)]);
    expect(await detectVhd(memoryFile(image), mine)).toBe('yes');
    const { disk, facts } = await openVhd(memoryFile(image));
    expect(facts['subformat']).toBe('fixed');
    expect(disk.size).toBe(guest.length);
  });

  it('is not sure of a damaged one', async () => {
    const damaged = Buffer.from(fixed);
    damaged[MiB + 200] = 1;
    expect(await detectVhd(memoryFile(damaged), mine)).toBe('maybe');
    expect(await detectVhd(memoryFile(Buffer.concat([noise(MiB, 1), footerOf(2, 2 * MiB)])), mine)).toBe('maybe');
    expect(await detectVhd(memoryFile(swappedBlocks({ entries: 1 }).image), mine)).toBe('maybe');
  });

  it('says no to anything else', async () => {
    for (const length of [0, 511, 512, 1024, MiB]) {
      expect(await detectVhd(memoryFile(new Uint8Array(length)), mine)).toBe('no');
      expect(await detectVhd(memoryFile(noise(length, 3)), mine)).toBe('no');
    }
  });
});

describe('for QEMU', () => {
  it('a VHD is opened by its driver', async () => {
    const node = { driver: 'vpc', file: { driver: 'file', filename: '/images/disk.vhd' } };
    expect(await vhdBlockNode(memoryFile(swappedBlocks().image, '/images/disk.vhd'))).toEqual(node);
    const fixed = Buffer.concat([noise(MiB, 1), footerOf(2, MiB)]);
    expect(await vhdBlockNode(memoryFile(fixed, '/images/disk.vhd'))).toEqual(node);
    expect((await vhdBlockNode(memoryFile(fixed, 'disk.vhd')))['file']).toEqual({
      driver: 'file',
      filename: expect.stringMatching(/^\/.*\/disk\.vhd$/),
    });
  });

  it('a fixed disk that starts like a footer is a window of the raw file', async () => {
    const guest = swappedBlocks().image;
    const image = Buffer.concat([guest, footerOf(2, guest.length)]);
    expect(await vhdBlockNode(memoryFile(image, '/disk.vhd'))).toEqual({
      driver: 'raw',
      offset: 0,
      size: guest.length,
      file: { driver: 'file', filename: '/disk.vhd' },
    });
  });
});
