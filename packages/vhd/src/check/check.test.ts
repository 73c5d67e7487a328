import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding, ImageFile } from '@polyvisor/core';
import { available, judgeWith, memoryFile, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import {
  childImage,
  dynamicImage,
  type Field,
  footerOf,
  type Layout,
  type Parent,
  swappedBlocks,
} from '../images.test-support.js';
import { repairVhd } from '../repair.js';
import { checkVhd } from './check.js';
import { VHD_CONSUMERS } from './consumers.js';

const MiB = 2 ** 20;
const now = 946_684_800 + 800_000_000;
const { signal } = new AbortController();
const BLKTAP = ['xenserver', 'xcp-ng', 'cloudstack'];
const far = 2n ** 63n;

async function findings(file: ImageFile, consumer?: string): Promise<Finding[]> {
  const found: Finding[] = [];
  const options = consumer === undefined ? { signal, now } : { signal, now, consumer };
  for await (const finding of checkVhd(file, options)) found.push(finding);
  return found;
}

const rulesOf = async (image: Uint8Array, consumer?: string) =>
  (await findings(memoryFile(image), consumer)).map(({ rule }) => rule);

/** 6 MiB would have three blocks; here are two of them in 4 MiB, in order, so that nothing is to be said of them. */
function sound(layout: Layout = {}): Buffer {
  const stride = 512 + 2 * MiB;
  const { image } = swappedBlocks({ table: [8, 8 + stride / 512], ...layout });
  return image;
}

const batmap: Layout['batmap'] = [
  [0, 8, 'tdbatmap'],
  [8, 8, 2560],
  [16, 4, 1],
  [20, 4, 0x10002],
  [24, 4, 0xffff_ffff],
];
const tap: readonly Field[] = [
  [28, 4, 'tap\0'],
  [32, 4, 0x10003],
];
const withBatmap = (...more: Field[]) => sound({ footer: tap, batmap: [...batmap, ...more] });

const utf16 = (text: string) => Buffer.from(text, 'utf16le');
const locators = [{ code: 'W2ru', text: utf16('.\\base.vhd'), place: 2048 }];
const child = (header: readonly Field[] = [], parent: Parent = {}) =>
  childImage(() => true, { locators, ...parent }, { header }).image;

const end = sound().length - 512;

describe('a sound disk has no findings', () => {
  it.each<[string, () => Uint8Array]>([
    ['dynamic', () => sound()],
    ['with its blocks in another order', () => swappedBlocks().image],
    ['with a block map', () => withBatmap()],
    ['with a short footer', () => sound({ footerLength: 511 })],
    ['differencing', () => child()],
    ['fixed', () => Buffer.concat([Buffer.alloc(2 * MiB), footerOf(2, 2 * MiB)])],
  ])('%s', async (_, make) => {
    expect(await findings(memoryFile(make()))).toEqual([]);
  });
});

describe('a broken rule is found, and no other', () => {
  it.each<[rule: string, refusedBy: readonly string[], image: Uint8Array]>([
    ['footer-missing', [...VHD_CONSUMERS], Buffer.alloc(MiB)],
    ['footer-missing', [...BLKTAP, 'hyperv', 'azure'], sound().fill(0, end)],
    ['footer-missing', [...BLKTAP, 'kvm'], sound().fill(0, 0, 512)],
    ['footer-disabled', [...BLKTAP, 'hyperv', 'azure', 'kvm'], sound({ footer: [[0, 8, 'v_poison']] })],
    ['footer-features', BLKTAP, sound({ footer: [[8, 4, 0]] })],
    ['footer-features', BLKTAP, sound({ footer: [[8, 4, 6]] })],
    ['footer-version', BLKTAP, sound({ footer: [[12, 4, 0x10001]] })],
    ['footer-data-offset', BLKTAP, Buffer.concat([Buffer.alloc(2 * MiB), footerOf(2, 2 * MiB, [16, 8, 0xffff_ffff])])],
    ['footer-time', BLKTAP, sound({ footer: [[24, 4, 800_001_801]] })],
    ['footer-tap-version', BLKTAP, sound({ footer: [...tap, [32, 4, 0x10004]], batmap })],
    ['footer-tap-obsolete', BLKTAP, sound({ footer: [...tap, [32, 4, 1]] })],
    ['footer-geometry', BLKTAP, sound({ footer: [[56, 4, 0xffff_10ff]] })],
    ['footer-geometry-size', [], sound({ footer: [[28, 4, 'qemu']] })],
    ['footer-type', [...BLKTAP, 'hyperv', 'azure', 'virtualbox'], Buffer.concat([Buffer.alloc(MiB), footerOf(7, MiB, [16, 8, 2n ** 64n - 1n])])], // prettier-ignore
    ['footer-saved-state', BLKTAP, sound({ footer: [[84, 1, 2]] })],
    ['footer-hidden', BLKTAP, sound({ footer: [[85, 1, 2]] })],
    ['footer-reserved', BLKTAP, sound({ footer: [[87, 1, 1]] })],
    ['footer-reserved', [], sound({ footer: [[86, 1, 1]] })],
    ['footer-uuid', BLKTAP, sound({ footer: [[68, 8, 0], [76, 8, 0]] })], // prettier-ignore
    ['footer-size', ['hyperv', 'azure'], Buffer.concat([Buffer.alloc(MiB), footerOf(2, MiB, [48, 8, 0], [56, 4, 0])])],
    ['footer-original-size', [], sound({ footer: [[40, 8, 0]] })],
    ['footers-differ', BLKTAP, sound({ copy: [[24, 4, 5]] })],
    ['fixed-size', ['hyperv', 'azure'], Buffer.concat([Buffer.alloc(MiB), footerOf(2, 2 * MiB)])],
    ['first-sector', ['kvm'], Buffer.concat([sound(), footerOf(2, sound().length)])],
    ['header-offset', [...VHD_CONSUMERS], sound({ footer: [[16, 8, far]] })],
    ['header-cookie', [...VHD_CONSUMERS], sound({ header: [[0, 1, 'x']] })],
    ['header-version', BLKTAP, sound({ header: [[24, 4, 0x10001]] })],
    ['header-data-offset', BLKTAP, sound({ header: [[8, 8, 0]] })],
    ['table-offset', [...VHD_CONSUMERS], sound({ header: [[16, 8, far]] })],
    ['block-size', [...BLKTAP, 'kvm', 'hyperv', 'azure'], sound({ header: [[32, 4, 3 * MiB]] })],
    ['header-reserved', BLKTAP, sound({ header: [[60, 4, 1]] })],
    ['header-more-reserved', BLKTAP, sound({ header: [[1023, 1, 1]] })],
    ['header-more-reserved', [], sound({ header: [[768, 1, 1]] })],
    ['locator-code', BLKTAP, child([[576 + 24, 4, 'evil'], [576 + 28, 4, 1], [576 + 32, 4, 2], [576 + 40, 8, 2560]])], // prettier-ignore
    ['parent-name-set', BLKTAP, sound({ header: [[65, 1, 65]] })],
    ['parent-locators-set', BLKTAP, sound({ header: [[576 + 8, 4, 1]] })],
    ['parent-uuid-set', BLKTAP, sound({ header: [[40, 4, 1]] })],
    ['parent-time-set', BLKTAP, sound({ header: [[56, 4, 1]] })],
    ['parent-time', BLKTAP, child([[56, 4, 0xffff_ffff]])],
    ['parent-name', BLKTAP, child([], { name: 'bäse.vhd' })],
    ['table-entries', [...BLKTAP, 'hyperv', 'azure', 'kvm'], dynamicImage(4096, { size: 4 * MiB, entries: 1 })],
    ['locator-unused', BLKTAP, child([[576 + 24 + 8, 4, 5]])],
    ['locator-reserved', BLKTAP, child([[576 + 12, 4, 1]])],
    [
      'locators-missing',
      BLKTAP,
      child([], { locators: [{ code: 'Wi2r', text: Buffer.from('base.vhd'), place: 2048 }] }),
    ],
    ['locator-text', BLKTAP, child([], { locators: [{ code: 'W2ru', text: utf16('.\\other.vhd'), place: 2048 }] })],
    ['block-over-headers', [...BLKTAP, 'hyperv', 'azure'], sound({ table: [3, 8 + 4097] })],
    ['block-outside', [...BLKTAP, 'hyperv', 'azure'], sound({ table: [8, 8 + 4097 + 1] })],
    ['block-outside', [...BLKTAP, 'hyperv', 'azure', 'kvm'], sound({ table: [8, 8 + 4097 + 2] })],
    ['blocks-overlap', [...BLKTAP, 'hyperv', 'azure'], sound({ table: [8, 8] })],
    ['batmap-missing', BLKTAP, sound({ footer: tap })],
    ['batmap-version', BLKTAP, withBatmap([20, 4, 0x10003])],
    ['batmap-size', BLKTAP, withBatmap([16, 4, 0])],
    ['batmap-offset', BLKTAP, withBatmap([8, 8, end])],
    ['batmap-checksum', BLKTAP, withBatmap([24, 4, 1])],
    ['batmap-encrypted', [], withBatmap([29, 1, 1])],
  ])('%s', async (rule, refusedBy, image) => {
    const found = await findings(memoryFile(image));
    const named = found.filter((finding) => finding.rule === `vhd-${rule}`);
    expect(named.length).toBeGreaterThan(0);
    expect([...new Set(named.flatMap((finding) => finding.refusedBy))].sort()).toEqual([...refusedBy].sort());
    for (const finding of named) {
      expect(finding).toMatchObject({
        offset: expect.any(Number),
        expected: expect.any(String),
        found: expect.any(String),
      });
    }
    // What follows from it may be told as well: 'nothing else' holds for the rules that are about one field.
    const allowed = [`vhd-${rule}`, ...(FOLLOWING[rule] ?? [])];
    expect(found.map((finding) => finding.rule).filter((name) => !allowed.includes(name))).toEqual([]);
  });

  it('checksums, which are wrong alone', async () => {
    for (const [at, rule] of [
      [64, 'vhd-footers-differ'],
      [end + 64, 'vhd-footers-differ'],
      [512 + 36, 'vhd-header-checksum'],
    ] as const) {
      const image = sound();
      image.writeUInt32BE(1, at);
      const expected = rule === 'vhd-header-checksum' ? [rule] : ['vhd-footer-checksum', rule];
      expect((await rulesOf(image)).sort()).toEqual(expected.sort());
    }
  });

  it('files that do not end with a sector', async () => {
    expect(await rulesOf(Buffer.concat([sound(), Buffer.alloc(1)]))).toEqual(['vhd-file-size', 'vhd-footer-missing']);
    expect(await rulesOf(Buffer.alloc(100))).toEqual(['vhd-footer-missing']);
  });

  it('bits of blocks that are not stored', async () => {
    const image = sound({ footer: tap, table: [8, 0xffff_ffff], batmap: [...batmap, [24, 4, ~0x40 >>> 0]] });
    image[2560] = 0x40;
    expect(await rulesOf(image)).toEqual(['vhd-batmap-bits']);
  });

  it('data in a sector that the bitmap lacks, by reading no other data', async () => {
    const image = sound();
    image[4096 + 100] = 0xef; // sector 803 of the first block
    const reads: number[] = [];
    const file = memoryFile(image);
    const found = await findings({
      ...file,
      read: (into, offset) => {
        reads.push(into.length);
        return file.read(into, offset);
      },
    });
    expect(found.map(({ rule, offset }) => [rule, offset])).toEqual([['vhd-bitmap-data', 4608 + 803 * 512]]);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(64 * 1024);
    image.fill(0, 4608 + 803 * 512, 4608 + 804 * 512);
    expect(await rulesOf(image)).toEqual([]);
  });

  it('a table in the place of a header', async () => {
    expect(await rulesOf(sound({ header: [[16, 8, 1024]] }))).toContain('vhd-table-place');
  });

  it('locators without a place, outside of the file, or twice', async () => {
    expect(await rulesOf(child([[576 + 8, 4, 0]]))).toContain('vhd-locator-empty');
    expect(await rulesOf(child([[576 + 16, 8, far]]))).toContain('vhd-locator-outside');
    expect(await rulesOf(child([], { locators: [...locators, ...locators] }))).toEqual(['vhd-locator-twice']);
  });

  it('many of them, by telling some', async () => {
    const table = Array.from({ length: 100 }, () => 1);
    const image = dynamicImage(4096, { size: 200 * MiB, table });
    const rules = await rulesOf(image);
    expect(rules.filter((rule) => rule === 'vhd-block-over-headers').length).toBeLessThan(20);
    const counted = (await findings(memoryFile(image))).map(({ message }) => message);
    expect(counted).toContainEqual(expect.stringContaining('as do 92 more'));
  });
});

/** Rules that cannot be broken alone. */
const FOLLOWING: Readonly<Record<string, readonly string[]>> = {
  'footer-geometry': ['vhd-footer-geometry-size'],
  'footer-size': ['vhd-footer-geometry'],
  'footer-type': ['vhd-footer-geometry', 'vhd-footer-missing'],
  'batmap-offset': ['vhd-batmap-checksum', 'vhd-block-over-headers'],
  'block-outside': ['vhd-blocks-overlap'],
  'locator-code': ['vhd-locator-text'],
};

describe('a consumer that is named', () => {
  it('makes errors of what it refuses', async () => {
    const image = sound({ footer: [[56, 4, 0xffff_10ff]] });
    expect((await findings(memoryFile(image)))[0]?.severity).toBe('warning');
    expect((await findings(memoryFile(image), 'xenserver'))[0]?.severity).toBe('error');
    expect((await findings(memoryFile(image), 'hyperv'))[0]?.severity).toBe('warning');
  });

  it('has rules of its own', async () => {
    expect(await rulesOf(sound(), 'azure')).toEqual(['vhd-azure-fixed']);
    const odd = Buffer.concat([Buffer.alloc(MiB + 512), footerOf(2, MiB + 512, [56, 4, 0])]);
    expect(await rulesOf(odd, 'azure')).toEqual(['vhd-azure-size']);
    const long = Buffer.concat([Buffer.alloc(2 * MiB), footerOf(2, MiB, [56, 4, 0])]);
    expect(await rulesOf(long, 'azure')).toEqual(['vhd-azure-file-size']);
    expect(await rulesOf(sound({ size: 3 * MiB, footer: [[56, 4, 0]] }), 'xenserver')).toEqual(['vhd-xen-size']);
    expect(await rulesOf(swappedBlocks().image, 'xcp-ng')).toEqual(['vhd-block-order']);
    expect(await rulesOf(sound(), 'kvm')).toEqual(['vhd-kvm-geometry']);
    expect(await rulesOf(child(), 'kvm')).toEqual(['vhd-kvm-geometry', 'vhd-kvm-parent']);
    for (const consumer of ['hyperv', 'virtualbox', 'cloudstack']) expect(await rulesOf(sound(), consumer)).toEqual([]);
  });
});

describe('a hostile file', () => {
  it('takes neither memory nor time', async () => {
    const images = [
      dynamicImage(4096, { entries: 0xffff_ffff, footer: [[48, 8, 2n ** 53n]] }),
      dynamicImage(4096, { header: [[32, 4, 1]], footer: [[48, 8, 2040n * 2n ** 30n]] }),
      dynamicImage(4096, { footer: [...tap, [48, 8, 2n ** 64n - 1n]], batmap: [...batmap, [16, 4, 0xffff_ffff]] }),
      childImage(() => true, {}, { header: [[576, 4, 'W2ru'], [580, 4, 0xffff_fe00], [584, 4, 0xffff_ffff], [592, 8, 2n ** 64n - 512n]] }).image, // prettier-ignore
    ];
    for (const image of images) {
      const file = memoryFile(image);
      const found = await findings({
        ...file,
        read: (into, offset) => {
          expect(into.length).toBeLessThanOrEqual(64 * 1024);
          return file.read(into, offset);
        },
      });
      expect(found.length).toBeGreaterThan(0);
    }
  });
});

describe('a damaged file', () => {
  const small = () => {
    const blockSize = 8192;
    const image = dynamicImage(4096 + 3 * (512 + blockSize), {
      size: 3 * blockSize,
      blockSize,
      table: [0, 1, 2].map((block) => 8 + block * 17),
      type: 4,
      footer: tap,
      batmap,
      header: [[576, 4, 'W2ru'], [580, 4, 512], [584, 4, 20], [592, 8, 3072], [64, 8, '\0b\0a\0s\0e']], // prettier-ignore
    });
    for (let block = 0; block < 3; block++) image.fill(0xff, 4096 + block * 8704, 4096 + block * 8704 + 2);
    return image;
  };

  async function survives(image: Uint8Array): Promise<void> {
    const file = memoryFile(image);
    await findings(file, 'xenserver');
    for await (const patch of repairVhd(file, signal, { now })) expect(patch.bytes.length).toBeLessThan(1 << 20);
  }

  it('is told of wherever it was cut', async () => {
    const image = small();
    for (let length = 0; length < image.length; length += 128) {
      await survives(image.subarray(0, length));
      if (length > 512) expect((await findings(memoryFile(image.subarray(0, length)))).length).toBeGreaterThan(0);
    }
  });

  it('does not stop the check or the repair, whatever is in it', async () => {
    const positions = new DataView(noise(4 * 2000, 29).buffer);
    for (let round = 0; round < 1000; round++) {
      const image = small();
      const [place, value] = [positions.getUint32(round * 8), positions.getUint32(round * 8 + 4)];
      image.writeUInt32BE(value, place % 3068);
      image.writeUInt8(value & 0xff, image.length - 1 - (place % 512));
      // Half of them with checksums that are right, so that more is believed.
      if (round % 2 === 0) {
        for (const [at, length, field] of [
          [0, 512, 64],
          [image.length - 512, 512, 64],
          [512, 1024, 36],
        ] as const) {
          const structure = image.subarray(at, at + length);
          structure.writeUInt32BE(0, field);
          structure.writeUInt32BE(~structure.reduce((sum, byte) => sum + byte, 0) >>> 0, field);
        }
      }
      await survives(image);
    }
  });
});

describe.skipIf(!available('qemu-img', 'qemu-utils'))('QEMU refuses what is said to be refused by it', () => {
  const fixed = (...changes: Field[]) => Buffer.concat([Buffer.alloc(4 * MiB), footerOf(2, 4 * MiB, ...changes)]);
  it.each<[string, Uint8Array]>([
    ['sound', sound()],
    ['fixed', fixed()],
    ['disabled', sound({ footer: [[0, 8, 'v_poison']] })],
    ['features', sound({ footer: [[8, 4, 0]] })],
    ['version', sound({ footer: [[12, 4, 0x20000]] })],
    ['checksum', sound().fill(1, 64, 68)],
    ['checksum at the end', sound().fill(1, end + 64, end + 68)],
    ['checksum of a fixed disk', fixed().fill(1, 4 * MiB + 64, 4 * MiB + 68)],
    ['no copy', sound().fill(0, 0, 512)],
    ['no footer', sound().fill(0, end)],
    [
      'fixed with a footer alone in front',
      Buffer.concat([footerOf(3, MiB), Buffer.alloc(4 * MiB), footerOf(2, 4 * MiB)]),
    ],
    ['size', fixed([28, 4, 'win '], [48, 8, 2n ** 42n])],
    ['header far away', sound({ footer: [[16, 8, far]] })],
    ['header cookie', sound({ header: [[0, 1, 'x']] })],
    ['header checksum', sound().fill(1, 512 + 36, 512 + 40)],
    ['header version', sound({ header: [[24, 4, 5]] })],
    ['table far away', sound({ header: [[16, 8, 2n ** 40n]] })],
    ['block size 3 MiB', sound({ header: [[32, 4, 3 * MiB]] })],
    ['block size 0', sound({ header: [[32, 4, 0]] })],
    ['entries', dynamicImage(4096, { size: 4 * MiB, entries: 1, footer: [[28, 4, 'win ']] })],
    ['block over the footer', sound({ table: [8, 8 + 4097 + 1] })],
    ['block out of the file', sound({ table: [8, 8 + 4097 + 2] })],
    ['blocks that overlap', sound({ table: [8, 8] })],
    ['block over headers', sound({ table: [3, 8 + 4097] })],
    ['short footer', sound({ footerLength: 511 })],
    ['differencing', child()],
  ])('%s', async (_, image) => {
    const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const path = join(directory, 'disk.vhd');
      await writeFile(path, image);
      const opened = await judgeWith('qemu-img', ['info', '-f', 'vpc', path]).then(
        () => true,
        () => false,
      );
      const refused = (await findings(memoryFile(image), 'kvm')).some(({ refusedBy }) => refusedBy.includes('kvm'));
      expect(refused).toBe(!opened);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
