import { compareDisks, type DiskSource, errorKind, type ImageFile } from '@polyvisor/core';
import { memoryDisk, memoryFile, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { vhdBlockNode } from './block-node.js';
import { detectVhd } from './detect.js';
import { openVhd } from './open.js';
import { dynamicImage, footerOf, type Layout, swappedBlocks } from './images.test-support.js';

const KiB = 1024;
const MiB = 2 ** 20;
const signal = new AbortController().signal;

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
      creator: 'VirtualBox (vbox)',
      'creator version': '7.1',
      'creator host': 'Wi2k',
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
    const opened = await openVhd(memoryFile(odd));
    expect(opened.disk.size).toBe(2 * MiB);
    expect(opened.warnings).toEqual([expect.stringContaining('QEMU takes 2088960')]);
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
    expect(opened.facts).toMatchObject({
      subformat: 'dynamic',
      'block size': 2 * MiB,
      blocks: 2,
      'blocks stored': 2,
      bitmaps: 'all sectors present',
    });
    expect(opened.linkId).toBe('deadbeef-0000-0000-0000-000001020304');
    expect(opened.warnings).toBeUndefined();
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

  it.each([4 * KiB, 64 * KiB, 512 * KiB, MiB, 4 * MiB])('is read with blocks of %i bytes', async (blockSize) => {
    const bitmap = Math.ceil(blockSize / 512 / 8 / 512) * 512;
    const stride = bitmap + blockSize;
    const table = Array.from({ length: 5 }, (_, index) => (4096 + index * stride) / 512);
    const size = 5 * blockSize - 1024;
    const image = dynamicImage(4096 + 5 * stride, { size, blockSize, table });
    const disk = noise(5 * blockSize, 8);
    for (let index = 0; index < 5; index++) {
      const start = 4096 + index * stride;
      image.fill(0xff, start, start + bitmap);
      image.set(disk.subarray(index * blockSize, (index + 1) * blockSize), start + bitmap);
    }
    await expectSame((await openVhd(memoryFile(image))).disk, disk.subarray(0, size));
  });

  it('is read with its table behind its blocks', async () => {
    const moved = swappedBlocks();
    const end = moved.image.length - 512;
    const table = [moved.image.readUInt32BE(1536), moved.image.readUInt32BE(1540)];
    const image = dynamicImage(end + 512, { tableAt: end, table });
    image.set(moved.image.subarray(4096, end), 4096);
    await expectSame((await openVhd(memoryFile(image))).disk, moved.disk);
  });

  it('is read with its last block cut off behind the end of the disk, and not before it', async () => {
    const size = 2 * MiB + 3 * 512;
    const { image, disk } = swappedBlocks({ size });
    const end = 4096 + 512 + 2 * MiB + 512 + 3 * 512;
    const cut = dynamicImage(end, { size, table: [8, 8 + 4097] });
    const whole = image.subarray(4096 + 512 + 2 * MiB + 512, -512); // the first block of the disk
    cut.set(whole, 4096 + 512);
    cut.fill(0xff, 4096, 4096 + 512);
    cut.fill(0xff, end - 4 * 512, end - 3 * 512);
    cut.set(disk.subarray(2 * MiB, size), end - 3 * 512);
    const opened = await openVhd(memoryFile(cut));
    await expectSame(opened.disk, disk.subarray(0, size));
    expect(opened.warnings).toEqual([expect.stringContaining('last block')]);
    expect((await refusal(Buffer.concat([cut.subarray(0, end - 512), cut.subarray(end)]))).code).toBe(
      'vhd-block-outside',
    );
  });

  it('of blktap 0.1 has bitmaps with the least significant bit first', async () => {
    const early = [
      [28, 4, 'tap\0'],
      [32, 4, 1],
    ] as const;
    const { image, disk } = swappedBlocks({ footer: early });
    image[4096] = 0b1111_1110;
    disk.fill(0, 2 * MiB, 2 * MiB + 512);
    await expectSame((await openVhd(memoryFile(image))).disk, disk);
  });

  it('that blktap disabled, hid or suspended is read, and says so', async () => {
    const marks = [
      [0, 8, 'v_poison'],
      [8, 4, 3],
      [84, 2, 0x0101],
    ] as const;
    const { image, disk } = swappedBlocks({ footer: marks });
    const opened = await openVhd(memoryFile(image));
    await expectSame(opened.disk, disk);
    expect(opened.facts).toMatchObject({ disabled: true, hidden: true, temporary: true, 'saved state': true });
    expect(opened.warnings).toEqual([expect.stringContaining('disabled'), expect.stringContaining('suspended')]);
  });

  it('whose footers differ in notes only is read with a warning', async () => {
    const { image, disk } = swappedBlocks({ copy: [[24, 4, 5]] });
    const opened = await openVhd(memoryFile(image));
    await expectSame(opened.disk, disk);
    expect(opened.warnings).toEqual([expect.stringContaining('differ')]);
  });

  it('that early Xen hid in one footer, without a new checksum, is read', async () => {
    const early = [
      [28, 4, 'tap\0'],
      [32, 4, 0x10001],
    ] as const;
    const { image, disk } = swappedBlocks({ footer: early });
    image[85] = 1;
    const opened = await openVhd(memoryFile(image));
    await expectSame(opened.disk, disk);
    expect(opened.warnings).toBeUndefined();
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
    ['footers of two disks', 'vhd-footers-differ', { copy: [[48, 8, 2 * MiB]] }],
    ['footers of two kinds', 'vhd-footers-differ', { copy: [[60, 4, 4]] }],
    ['a header over the footer copy', 'vhd-header-offset', { footer: [[16, 8, 0]] }],
    ['a header between sectors', 'vhd-header-offset', { footer: [[16, 8, 513]] }],
    ['a header beyond the end', 'vhd-header-offset', { footer: [[16, 8, far]] }],
    ['a header over the last footer', 'vhd-header-offset', { footer: [[16, 8, end - 512]] }],
    ['no header where there should be one', 'vhd-header-missing', { footer: [[16, 8, 4096]] }],
    ['blocks of 0 bytes', 'vhd-block-size', { header: [[32, 4, 0]] }],
    ['blocks of 512 bytes', 'vhd-block-size', { header: [[32, 4, 512]] }],
    ['blocks of 3 MiB', 'vhd-block-size', { header: [[32, 4, 3 * MiB]] }],
    ['blocks of 512 MiB', 'vhd-block-size', { header: [[32, 4, 512 * MiB]] }],
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
    for (const [at, code] of [
      [end + 300, 'vhd-checksum'],
      [700, 'vhd-checksum'],
      [300, 'vhd-footers-differ'],
    ] as const) {
      const { image } = swappedBlocks();
      image[at] = 1;
      expect((await refusal(image)).code).toBe(code);
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
