import { compareDisks, type DiskSource, type OpenImage, type ParentImage } from '@polyvisor/core';
import { memoryDisk, memoryFile, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { writeGuid } from './guid.js';
import { AT, DATA_WRITE_GUID, locatorOf, putEntry, putItem, putRegion, sampleImage, sealed } from './sample-image.js';
import { vhdx } from './vhdx.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;

async function readAll({ disk }: { readonly disk: DiskSource }): Promise<Buffer> {
  const whole = Buffer.alloc(disk.size, 0xaa);
  await disk.read(whole, 0);
  return whole;
}

/** What the disk holds must be `expected`, by reading and by its extents. */
async function expectDisk(image: OpenImage, expected: Uint8Array): Promise<void> {
  expect((await readAll(image)).equals(expected)).toBe(true);
  const other = memoryDisk(expected.length, [{ offset: 0, bytes: expected }]);
  expect(await compareDisks(image.disk, other, { signal })).toEqual({ equal: true });
}

async function extentsOf(disk: DiskSource) {
  const extents = [];
  for await (const extent of disk.extents()) extents.push(extent);
  return extents;
}

/** The sample with its two blocks filled, and the disk that it stands for. */
function filled(image = sampleImage()): { image: Buffer; disk: Buffer } {
  const disk = Buffer.alloc(4 * MiB);
  disk.set(noise(2 * MiB, 3));
  disk.copy(image, 5 * MiB, 0, MiB);
  disk.copy(image, 4 * MiB, MiB, 2 * MiB);
  return { image, disk };
}

describe('reading', () => {
  it('gives the blocks where the BAT says, and zeros elsewhere', async () => {
    const { image, disk } = filled();
    const opened = await vhdx.open(memoryFile(image));
    await expectDisk(opened, disk);
    expect(opened).toMatchObject({
      linkId: DATA_WRITE_GUID,
      facts: { subformat: 'dynamic', creator: 'sample', blocks: 4, 'blocks stored': 2, 'logical sector': 512 },
    });
    expect(opened.warnings).toBeUndefined();
  });

  it('takes each state without data for zeros', async () => {
    for (const state of [0, 1, 2, 3]) {
      const { image, disk } = filled();
      putEntry(image, 0, state, 5);
      disk.fill(0, 0, MiB);
      await expectDisk(await vhdx.open(memoryFile(image)), disk);
    }
  });

  it('reads disks with sectors of 4096 bytes', async () => {
    const { image, disk } = filled(sampleImage({ logicalSector: 4096 }));
    await expectDisk(await vhdx.open(memoryFile(image)), disk);
  });

  it('leaves out the entries for sector bitmaps', async () => {
    // 256 MiB blocks make chunks of 16: block 16 is entry 17.
    const bat: [number, number][] = Array.from({ length: 18 }, () => [0, 0]);
    bat[16] = [6, 9]; // left by old versions of QEMU
    bat[17] = [6, 4];
    const image = sampleImage({ size: 16 * 256 * MiB + MiB, blockSize: 256 * MiB, bat, mib: 5 });
    image.set(noise(MiB, 5), 4 * MiB);
    const { disk } = await vhdx.open(memoryFile(image));
    const part = Buffer.alloc(2 * 4096, 0xaa);
    await disk.read(part, 16 * 256 * MiB - 4096);
    expect(part.equals(Buffer.concat([Buffer.alloc(4096), noise(4096, 5)]))).toBe(true);
    expect(await extentsOf(disk)).toEqual([{ offset: 16 * 256 * MiB, length: MiB }]);
  });

  it('takes a last block that ends with the disk', async () => {
    const image = sampleImage({ size: 3 * MiB, blockSize: 2 * MiB, bat: [[0, 0], [6, 4]], mib: 5 }); // prettier-ignore
    const opened = await vhdx.open(memoryFile(image));
    await expectDisk(opened, Buffer.alloc(3 * MiB));
  });

  it('takes the header with the higher number', async () => {
    const { image } = filled();
    writeGuid(image, 'ffffffff-0000-4000-8000-000000000001', AT.header1 + 32);
    image.writeUInt32LE(9, AT.header1 + 8);
    expect(await vhdx.open(memoryFile(sealed(image)))).toMatchObject({
      linkId: 'ffffffff-0000-4000-8000-000000000001',
    });
  });

  it('takes two headers that are the same, as Disk2vhd writes them', async () => {
    const { image, disk } = filled();
    image.copy(image, AT.header2, AT.header1, AT.header1 + 4096);
    await expectDisk(await vhdx.open(memoryFile(image)), disk);
  });

  it.each([
    ['the first header', AT.header1],
    ['the second header', AT.header2],
    ['the first region table', AT.table1],
    ['the second region table', AT.table2],
  ])('does without %s, and says so', async (name, at) => {
    const { image, disk } = filled();
    image.writeUInt8(1, at + 3000);
    const opened = await vhdx.open(memoryFile(image));
    await expectDisk(opened, disk);
    expect(opened.warnings).toEqual([expect.stringContaining(`${name} is damaged`)]);
  });

  it('ignores unknown regions and items that are not required', async () => {
    const { image, disk } = filled();
    for (const table of [AT.table1, AT.table2]) {
      image.writeUInt32LE(3, table + 8);
      putRegion(image, table, 2, { guid: '11111111-1111-4111-8111-111111111111', offset: 5 * MiB, required: 0 });
    }
    putEntry(image, 0, 0, 0);
    disk.fill(0, 0, MiB);
    image.writeUInt16LE(6, AT.metadata + 10);
    // Of a user's name space, where the number of a known item means something else.
    putItem(image, 5, { guid: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b', offset: 65_600, length: 100, flags: 1 });
    await expectDisk(await vhdx.open(memoryFile(sealed(image))), disk);
  });

  it('shows the name of the maker without what controls a terminal', async () => {
    const image = sampleImage();
    image.write('a\u001b[2J\u202eb\0c', 8, 'utf16le');
    const { facts } = await vhdx.open(memoryFile(image));
    expect(facts['creator']).toBe('a\ufffd[2J\ufffdb');
  });

  it('is not sure of a file that was cut off, and knows others', async () => {
    const image = sampleImage();
    expect(await vhdx.detect(memoryFile(image))).toBe('yes');
    expect(await vhdx.detect(memoryFile(image.subarray(0, 4096)))).toBe('maybe');
    expect(await vhdx.detect(memoryFile(Buffer.alloc(MiB)))).toBe('no');
  });
});

describe('a differencing disk', () => {
  const locator = locatorOf({
    parent_linkage: `{${DATA_WRITE_GUID.toUpperCase()}}`,
    parent_linkage2: '{22222222-2222-4222-8222-222222222222}',
    absolute_win32_path: 'C:\\parent.vhdx',
    relative_path: '.\\parent.vhdx',
  });
  const parentBytes = Buffer.from(noise(3 * MiB, 21));
  const parentOf = (linkId: string | undefined): ParentImage => ({
    path: 'parent.vhdx',
    disk: memoryDisk(parentBytes.length, [{ offset: 0, bytes: parentBytes }]),
    linkId,
  });

  /** 4 MiB in blocks of 2 MiB: the first partially present, the second from the parent; bitmap and block behind each other. */
  function child(
    bat: readonly (readonly [number, number])[] = [
      [7, 5],
      [0, 0],
    ],
  ): Buffer {
    // prettier-ignore
    const chunkRatio = 2048;
    const entries: [number, number][] = Array.from({ length: chunkRatio + 1 }, () => [0, 0]);
    bat.forEach(([state, mib], index) => (entries[index] = [state, mib]));
    entries[chunkRatio] = [6, 4];
    return sampleImage({ blockSize: 2 * MiB, flags: 2, bat: entries, mib: 7, locator });
  }

  it('names its parent, and cannot be read without it', async () => {
    const { parent, disk, facts } = await vhdx.open(memoryFile(child()));
    expect(facts).toMatchObject({ subformat: 'differencing' });
    expect(parent).toEqual({ names: ['.\\parent.vhdx', 'C:\\parent.vhdx'], linkId: DATA_WRITE_GUID });
    await expect(disk.read(new Uint8Array(512), 0)).rejects.toMatchObject({ code: 'parent-missing' });
  });

  it('takes each sector from where its bitmap says', async () => {
    const image = child();
    image.set(noise(2 * MiB, 22), 5 * MiB);
    image.writeUInt8(0b0000_1001, 4 * MiB); // sectors 0 and 3
    image.writeUInt8(0x80, 4 * MiB + 511); // sector 4095, the last of the block
    const expected = Buffer.concat([parentBytes, Buffer.alloc(MiB)]);
    for (const sector of [0, 3, 4095])
      expected.set(image.subarray(5 * MiB + sector * 512).subarray(0, 512), sector * 512);
    const opened = await vhdx.open(memoryFile(image), { parent: parentOf(DATA_WRITE_GUID) });
    await expectDisk(opened, expected);
    const odd = Buffer.alloc(1000);
    await opened.disk.read(odd, 300);
    expect(odd.equals(expected.subarray(300, 1300))).toBe(true);
  });

  it('has blocks of its own, and zeros that hide the parent', async () => {
    const image = child([[6, 5], [2, 0]]); // prettier-ignore
    image.set(noise(2 * MiB, 22), 5 * MiB);
    const expected = Buffer.concat([noise(2 * MiB, 22), Buffer.alloc(2 * MiB)]);
    await expectDisk(await vhdx.open(memoryFile(image), { parent: parentOf(DATA_WRITE_GUID) }), expected);
  });

  it('accepts only the parent that it was made from, by either of two identities', async () => {
    const open = (linkId: string | undefined) => vhdx.open(memoryFile(child()), { parent: parentOf(linkId) });
    await expect(open('33333333-3333-4333-8333-333333333333')).rejects.toMatchObject({ code: 'parent-mismatch' });
    await expect(open(undefined)).rejects.toMatchObject({ code: 'parent-mismatch' });
    await expect(open('22222222-2222-4222-8222-222222222222')).resolves.toBeDefined();
  });

  it('is read over a parent that is a VHDX itself', async () => {
    const { image: base, disk: expected } = filled();
    const parent = await vhdx.open(memoryFile(base));
    const opened = await vhdx.open(
      memoryFile(
        child([
          [0, 0],
          [0, 0],
        ]),
      ),
      {
        // prettier-ignore
        parent: { path: 'base.vhdx', disk: parent.disk, linkId: parent.linkId },
      },
    );
    await expectDisk(opened, expected);
    expect(await extentsOf(opened.disk)).toEqual([{ offset: 0, length: 2 * MiB }]);
  });

  it('decodes each text of a locator once, however often it is named', async () => {
    const many = Buffer.alloc(MiB - 64 * 1024 - 40);
    locatorOf({ parent_linkage: `{${DATA_WRITE_GUID}}` }).copy(many);
    many.writeUInt16LE(65_535, 18);
    for (let index = 1; index < 65_535; index++) {
      many.writeUInt32LE(0, 20 + 12 * index);
      many.writeUInt32LE(0, 24 + 12 * index);
      many.writeUInt16LE(100, 28 + 12 * index);
      many.writeUInt16LE(65_534, 30 + 12 * index);
    }
    const started = performance.now();
    // The value of the first entry was overwritten, so that there is nothing to be found.
    await expect(vhdx.open(memoryFile(sampleImage({ flags: 2, locator: many })))).rejects.toMatchObject({
      code: 'vhdx-parent-locator',
    });
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
