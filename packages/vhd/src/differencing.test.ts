import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareDisks, type DiskSource, type ParentImage } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { vhdBlockNode } from './block-node.js';
import { openVhd } from './open.js';
import { childImage, type Parent, swappedBlocks } from './images.test-support.js';

const MiB = 2 ** 20;
const { signal } = new AbortController();

const utf16 = (text: string) => Buffer.from(text, 'utf16le');

async function parentOf(image: Uint8Array, path = 'base.vhd'): Promise<ParentImage> {
  const { disk, linkId } = await openVhd(memoryFile(image, path));
  return { path, disk, linkId };
}

async function readAll(disk: DiskSource): Promise<Buffer> {
  const whole = Buffer.alloc(disk.size, 0xaa);
  await disk.read(whole, 0);
  return whole;
}

const child = (parent: Parent) => childImage((sector) => sector % 2 === 0, parent).image;

describe('a differencing disk', () => {
  it('has its own sectors over those of its parent', async () => {
    const base = swappedBlocks();
    const { image, data } = childImage((sector) => sector % 3 === 0);
    const { disk, facts, parent } = await openVhd(memoryFile(image), { parent: await parentOf(base.image) });
    const expected = Buffer.from(base.disk);
    for (let at = 0; at < 2 * MiB; at += 3 * 512) expected.set(data.subarray(at, at + 512), at);
    expect((await readAll(disk)).equals(expected)).toBe(true);
    const flat = memoryDisk(4 * MiB, [{ offset: 0, bytes: expected }]);
    expect(await compareDisks(flat, disk, { signal })).toEqual({ equal: true });
    // Across sectors and blocks, at odd places.
    for (const [from, to] of [
      [100, 5000],
      [2 * MiB - 700, 2 * MiB + 700],
      [511, 513],
    ] as const) {
      const part = Buffer.alloc(to - from);
      await disk.read(part, from);
      expect(part.equals(expected.subarray(from, to))).toBe(true);
    }
    expect(facts).toMatchObject({
      subformat: 'differencing',
      'parent uuid': 'deadbeef-0000-0000-0000-000001020304',
      'parent name': 'base.vhd',
      bitmaps: 'sectors absent',
    });
    expect(parent).toEqual({ names: ['base.vhd'], linkId: 'deadbeef-0000-0000-0000-000001020304' });
  });

  it('is one of a chain, and ends where no parent is', async () => {
    const base = swappedBlocks();
    const middle = childImage((sector) => sector < 100);
    const top = childImage((sector) => sector >= 50 && sector < 60, { id: 0xc0ffee00, name: 'middle.vhd' });
    const opened = await openVhd(memoryFile(middle.image, 'middle.vhd'), { parent: await parentOf(base.image) });
    const parent = { path: 'middle.vhd', disk: opened.disk, linkId: opened.linkId };
    const { disk } = await openVhd(memoryFile(top.image), { parent });
    const expected = Buffer.from(base.disk);
    expected.set(middle.data.subarray(0, 100 * 512), 0);
    expect((await readAll(disk)).equals(expected)).toBe(true);
  });

  it('has zeros beyond the end of a parent that is shorter, and nothing of one that is longer', async () => {
    const base = swappedBlocks({ size: MiB + 512, entries: 2 });
    const { image, data } = childImage((sector) => sector === 4095);
    const { disk } = await openVhd(memoryFile(image), { parent: await parentOf(base.image) });
    const expected = Buffer.alloc(4 * MiB);
    expected.set(base.disk.subarray(0, MiB + 512), 0);
    expected.set(data.subarray(-512), 2 * MiB - 512);
    expect((await readAll(disk)).equals(expected)).toBe(true);

    const short = childImage(() => false, {}, { size: MiB });
    const long = swappedBlocks();
    const opened = await openVhd(memoryFile(short.image), { parent: await parentOf(long.image) });
    for await (const { offset, length } of opened.disk.extents()) expect(offset + length).toBeLessThanOrEqual(MiB);
    expect((await readAll(opened.disk)).equals(Buffer.from(long.disk.subarray(0, MiB)))).toBe(true);
  });

  it('opens without its parent, says what it is called, and is not read', async () => {
    const { disk, facts, parent, linkId } = await openVhd(memoryFile(child({}), 'child.vhd'));
    expect(disk.size).toBe(4 * MiB);
    expect(facts['blocks stored']).toBe(1);
    expect(parent?.names).toEqual(['base.vhd']);
    expect(linkId).toBe('c0ffee00-0000-0000-0000-000001020304');
    await expect(disk.read(new Uint8Array(512), 0)).rejects.toMatchObject({ code: 'parent-missing' });
    await expect(disk.extents()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'parent-missing' });
  });

  it('refuses another parent, and takes any where it names none', async () => {
    const parent = await parentOf(swappedBlocks({ footer: [[68, 4, 7]] }).image);
    await expect(openVhd(memoryFile(child({})), { parent })).rejects.toMatchObject({
      code: 'parent-mismatch',
      expected: 'deadbeef-0000-0000-0000-000001020304',
    });
    const raw = { path: 'base.raw', disk: memoryDisk(4 * MiB, []), linkId: undefined };
    const { disk, facts } = await openVhd(memoryFile(child({ id: 0 })), { parent: raw });
    expect(facts['parent uuid']).toBe('none (a raw parent)');
    await disk.read(new Uint8Array(512), 0);
  });

  it('is not given to QEMU, which would read it without its parent', async () => {
    await expect(vhdBlockNode(memoryFile(child({})))).rejects.toMatchObject({ code: 'vhd-differencing' });
  });
});

describe('what a disk says of its parent', () => {
  it('is read from every kind of locator, the nearest path first', async () => {
    const texts: readonly [string | number, Buffer][] = [
      ['W2ku', utf16('C:\\images\\base.vhd')],
      ['W2ru', utf16('.\\base.vhd')],
      ['MacX', Buffer.from('file:///images/b%C3%A4se.vhd')],
      ['Wi2r', Buffer.from('..\\base.vhd\0rest', 'latin1')],
      [0x4d16_3258, Buffer.from('file://localhost/vbox/base.vhd')],
      ['Mac ', Buffer.from('an alias record')],
    ];
    const locators = texts.map(([code, text], index) => ({ code, text, place: 2048 + index * 128 }));
    const { parent, facts } = await openVhd(memoryFile(child({ locators })));
    expect(parent?.names).toEqual([
      '.\\base.vhd',
      '/images/bäse.vhd',
      '/vbox/base.vhd',
      '..\\base.vhd',
      'C:\\images\\base.vhd',
      'base.vhd',
    ]);
    expect(facts['parent locators']).toContain('W2ku "C:\\\\images\\\\base.vhd", W2ru');
    expect(facts['parent locators']).toMatch(/, Mac$/);
  });

  it('cannot drive a terminal, take memory or reach out of the file', async () => {
    const image = child({
      name: '\\\\server\\share\\base.vhd\u001b[2J\u202e',
      locators: [
        { code: 'W2ru', text: utf16('\u001b]0;evil\u0007'), place: 2048 },
        { code: 'W2ku', text: Buffer.from([0x00, 0xd8]), place: 2176 }, // half of a surrogate pair
        { code: 'MacX', text: Buffer.from('file://%zz/\u0000'), place: 2304 },
      ],
    });
    const { parent } = await openVhd(memoryFile(image));
    expect(parent?.names).toEqual(['?]0;evil?', '%zz/', '?', '\\\\server\\share\\base.vhd?[2J?']);

    const text = utf16('x'.repeat(4));
    for (const header of [
      [[576 + 8, 4, 0xffff_ffff]], // 4 GiB of text
      [[576 + 16, 8, 2n ** 63n]], // far beyond the end
      [[576 + 16, 8, image.length - 2]], // over the end
      [[576 + 8, 4, 0]],
    ] as const) {
      const { image: hostile } = childImage(
        () => true,
        { locators: [{ code: 'W2ru', text, place: 2048 }] },
        { header },
      );
      const reads: number[] = [];
      const file = memoryFile(hostile);
      const opened = await openVhd({
        ...file,
        read: (into, offset) => {
          reads.push(into.length);
          return file.read(into, offset);
        },
      });
      expect(opened.parent?.names).toEqual(['base.vhd']);
      expect(Math.max(...reads)).toBeLessThanOrEqual(4096);
    }
  });
});

describe.skipIf(!available('vhdiinfo', 'libvhdi-utils'))('libvhdi', () => {
  it('sees the same disk and the same parent', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const path = join(directory, 'child.vhd');
      const text = utf16('.\\base.vhd');
      await writeFile(path, child({ locators: [{ code: 'W2ru', text, place: 2048 }] }));
      const printed = await judgeWith('vhdiinfo', [path]);
      expect(printed).toMatch(/Disk type\s*: Differential/);
      expect(printed).toMatch(/Media size\s*: .*\(4194304 bytes\)/);
      expect(printed).toMatch(/Identifier\s*: c0ffee00-0000-0000-0000-000001020304/);
      expect(printed).toMatch(/Parent identifier\s*: deadbeef-0000-0000-0000-000001020304/);
      expect(printed).toMatch(/Parent filename\s*: base\.vhd/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
