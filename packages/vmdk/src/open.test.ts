import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareDisks, type DiskSource, type ImageFile, openImageFile, rawDisk } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile, noise, texture } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectVmdk, openVmdk } from './open.js';

const MiB = 1024 * 1024;
const GRAIN = 64 * 1024;
const { signal } = new AbortController();

interface Text {
  readonly createType?: string;
  readonly extents: readonly string[];
  readonly extra?: readonly string[];
}

/** A descriptor as a person might write it. */
function descriptor({ createType = 'custom', extents, extra = [] }: Text, newline = '\n'): Buffer {
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    'CID=0badcafe',
    `createType="${createType}"`,
    ...extra,
    ...extents,
  ];
  return Buffer.from(lines.join(newline) + newline, 'latin1');
}

interface Sparse {
  readonly version?: number;
  readonly flags?: number;
  readonly sectors?: number;
  readonly text?: string;
  readonly grains: readonly { readonly index: number; readonly bytes: Uint8Array | 'zero' }[];
}

/** A monolithicSparse file of one table: header, descriptor, both directories and tables, grains from sector 128 on. */
function sparse({ version = 1, flags = 3, sectors = 8192, text, grains }: Sparse): Buffer {
  const image = Buffer.alloc(128 * 512 + grains.length * GRAIN);
  image.write('KDMV');
  image.writeUInt32LE(version, 4);
  image.writeUInt32LE(flags, 8);
  image.writeBigUInt64LE(BigInt(sectors), 12);
  image.writeBigUInt64LE(128n, 20);
  image.writeBigUInt64LE(1n, 28);
  image.writeBigUInt64LE(20n, 36);
  image.writeUInt32LE(512, 44);
  image.writeBigUInt64LE(21n, 48);
  image.writeBigUInt64LE(26n, 56);
  image.writeBigUInt64LE(128n, 64);
  image.writeUInt32LE(0x0a0d200a, 73);
  const own = [
    '# Disk DescriptorFile',
    'version=1',
    'CID=0BADCAFE',
    'parentCID=ffffffff',
    'createType="monolithicSparse"',
  ];
  image.write(text ?? [...own, `RW ${sectors} SPARSE "x.vmdk"`].join('\n'), 512);
  image.writeUInt32LE(22, 21 * 512);
  image.writeUInt32LE(27, 26 * 512);
  grains.forEach(({ index, bytes }, position) => {
    for (const table of [22, 27])
      image.writeUInt32LE(bytes === 'zero' ? 1 : 128 + position * 128, table * 512 + index * 4);
    if (bytes !== 'zero') image.set(bytes, 128 * 512 + position * GRAIN);
  });
  return image;
}

function files(entries: Readonly<Record<string, Uint8Array>>): ReadonlyMap<string, Uint8Array> {
  return new Map(Object.entries(entries));
}

async function expectEqual(disk: DiskSource, size: number, pieces: readonly { offset: number; bytes: Uint8Array }[]) {
  expect(disk.size).toBe(size);
  expect(await compareDisks(disk, memoryDisk(size, pieces), { signal })).toEqual({ equal: true });
}

describe('a sparse disk', () => {
  const first = texture(GRAIN, 1);
  const second = texture(GRAIN, 2);
  const grains = [
    { index: 3, bytes: second },
    { index: 1, bytes: first },
    { index: 5, bytes: 'zero' as const },
  ];
  const pieces = [
    { offset: GRAIN, bytes: first },
    { offset: 3 * GRAIN, bytes: second },
  ];

  it('is read in every version, with grains in any order and zero by decree', async () => {
    for (const [version, flags] of [
      [1, 3],
      [2, 7],
      [3, 7],
    ] as const) {
      const { disk, facts, linkId, warnings } = await openVmdk(memoryFile(sparse({ version, flags, grains })));
      await expectEqual(disk, 4 * MiB, pieces);
      expect(facts).toMatchObject({ 'VMDK type': 'monolithicSparse', 'VMDK version': version });
      expect([linkId, warnings]).toEqual(['0badcafe', undefined]);
    }
  });

  it('tells its data, and reads any range at the same time', async () => {
    const { disk } = await openVmdk(memoryFile(sparse({ grains })));
    const extents = [];
    for await (const extent of disk.extents()) extents.push(extent);
    expect(extents).toEqual(pieces.map(({ offset }) => ({ offset, length: GRAIN })));
    const whole = new Uint8Array(4 * MiB);
    await disk.read(whole, 0);
    const offsets = [0, 511, GRAIN - 1, 3 * GRAIN - 7, 5 * GRAIN, 4 * MiB - 2 * GRAIN];
    await Promise.all(
      offsets.map(async (offset) => {
        const into = new Uint8Array(2 * GRAIN).fill(9);
        await disk.read(into, offset);
        expect(Buffer.compare(into, whole.subarray(offset, offset + into.length))).toBe(0);
      }),
    );
    await expect(disk.read(whole, 1)).rejects.toThrow(RangeError);
  });

  it('is read through the copy of its directory when that is damaged, and says so', async () => {
    const image = sparse({ grains });
    image.writeUInt32LE(0xffff_ffff, 26 * 512);
    const { disk, warnings } = await openVmdk(memoryFile(image, 'hurt.vmdk'));
    await expectEqual(disk, 4 * MiB, pieces);
    expect(warnings).toEqual([expect.stringMatching(/hurt\.vmdk.*table lies outside.*copy is used/)]);
    image.writeUInt32LE(0xffff_ffff, 21 * 512);
    await expect(openVmdk(memoryFile(image))).rejects.toThrow(/table lies outside/);
  });

  it('says that it was not closed cleanly', async () => {
    const image = sparse({ grains });
    image[72] = 1;
    expect((await openVmdk(memoryFile(image))).warnings).toEqual([
      'memory was not closed cleanly by the program that wrote it last',
    ]);
  });

  it('is refused when a grain ends behind the file, and read when only its unused end does', async () => {
    const image = sparse({ sectors: 128 * 6 + 2, grains: [{ index: 6, bytes: first }], text: text(770) });
    const { disk } = await openVmdk(memoryFile(image.subarray(0, 128 * 512 + 1024)));
    await expectEqual(disk, 770 * 512, [{ offset: 6 * GRAIN, bytes: first.subarray(0, 1024) }]);
    const cut = (await openVmdk(memoryFile(image.subarray(0, 128 * 512 + 1023)))).disk;
    await expect(cut.read(new Uint8Array(1024), 6 * GRAIN)).rejects.toThrow(/grain 6 lies outside the file/);
  });

  it('may have a header that is rounded up to whole grains, as VirtualBox writes it', async () => {
    const image = sparse({ sectors: 8192, grains, text: text(8192 - 100) });
    await expectEqual((await openVmdk(memoryFile(image))).disk, (8192 - 100) * 512, pieces);
    const wrong = sparse({ sectors: 8192, grains, text: text(8192 - 128) });
    await expect(openVmdk(memoryFile(wrong))).rejects.toThrow(/8064 sectors, the header 8192/);
  });

  function text(sectors: number): string {
    return `# Disk DescriptorFile\nversion=1\nCID=1\ncreateType="monolithicSparse"\nRW ${sectors} SPARSE "x"\n`;
  }
});

describe('a disk with a parent', () => {
  const data = texture(2 * GRAIN, 3);
  const child = sparse({
    flags: 7,
    grains: [
      { index: 0, bytes: 'zero' },
      { index: 2, bytes: data.subarray(0, GRAIN) },
    ],
    text: '# Disk DescriptorFile\nversion=1\nCID=2\nparentCID=BADCAFE\nparentFileNameHint="/etc/passwd"\ncreateType="monolithicSparse"\nRW 8192 SPARSE "x"\n',
  });
  const parentOf = (linkId: string) => ({
    path: 'parent.vmdk',
    linkId,
    disk: memoryDisk(2 * MiB, [{ offset: 0, bytes: noise(2 * MiB, 4) }]),
  });

  it('can be described without it, and not read', async () => {
    const { disk, parent } = await openVmdk(memoryFile(child));
    expect(parent).toEqual({ names: ['/etc/passwd'], linkId: '0badcafe' });
    expect(disk.size).toBe(4 * MiB);
    await expect(disk.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'parent-missing' });
  });

  it('lies over the one that the user names, when that is the right one', async () => {
    const { disk } = await openVmdk(memoryFile(child), { parent: parentOf('0badcafe') });
    const below = noise(2 * MiB, 4);
    below.fill(0, 0, GRAIN);
    below.set(data.subarray(0, GRAIN), 2 * GRAIN);
    await expectEqual(disk, 4 * MiB, [{ offset: 0, bytes: below }]);
    await expect(openVmdk(memoryFile(child), { parent: parentOf('0badcaff') })).rejects.toMatchObject({
      code: 'parent-mismatch',
    });
  });
});

describe('a disk of several files', () => {
  const flat = texture(MiB, 5);

  it('is put together of flat, sparse and zero extents', async () => {
    const part = sparse({ sectors: 8192, grains: [{ index: 1, bytes: flat.subarray(0, GRAIN) }] });
    part.writeBigUInt64LE(0n, 28); // VMware's parts have no descriptor
    part.writeBigUInt64LE(0n, 36);
    const extents = [
      'RW 1024 FLAT "a.vmdk" 1024',
      'RDONLY 2048 ZERO',
      'rw'.toUpperCase() + '\t8192  SPARSE "b.vmdk"',
      'RW 1024 FLAT "a.vmdk" 0',
    ];
    for (const newline of ['\n', '\r\n']) {
      const text = descriptor({ extents }, newline);
      const { disk, facts } = await openVmdk(memoryFile(text, 'x.vmdk', files({ 'a.vmdk': flat, 'b.vmdk': part })));
      await expectEqual(disk, 12288 * 512, [
        { offset: 0, bytes: flat.subarray(MiB / 2) },
        { offset: (3072 + 128) * 512, bytes: flat.subarray(0, GRAIN) },
        { offset: (3072 + 8192) * 512, bytes: flat.subarray(0, MiB / 2) },
      ]);
      expect(facts).toMatchObject({ 'VMDK type': 'custom', extents: 4 });
      expect(await detectVmdk(memoryFile(text))).toBe('yes');
    }
  });

  it('has names in the encoding that it says', async () => {
    const extents = ['RW 2048 FLAT "d\u00efsk-flat.vmdk" 0'];
    const windows = descriptor({ createType: 'monolithicFlat', extents, extra: ['encoding="windows-1252"'] });
    const utf8 = Buffer.from(
      descriptor({ createType: 'vmfs', extents: ['RW 2048 VMFS "d\u00efsk-flat.vmdk"'] }).toString('latin1'),
    );
    for (const text of [windows, utf8]) {
      const { disk } = await openVmdk(memoryFile(text, 'x.vmdk', files({ 'd\u00efsk-flat.vmdk': flat })));
      await expectEqual(disk, MiB, [{ offset: 0, bytes: flat }]);
    }
  });

  it('may have extents of ESX 3', async () => {
    const cowd = Buffer.alloc(4 * 512 + 512 + 16384 + 2 * 512);
    cowd.write('COWD');
    for (const [at, value] of [
      [4, 1],
      [8, 3],
      [12, 4200],
      [16, 1],
      [20, 4],
      [24, 2],
      [2048, 5],
      [2560 + 7 * 4, 37],
      [2560 + 8 * 4, 38],
    ] as const)
      cowd.writeUInt32LE(value, at);
    cowd.set(flat.subarray(0, 1024), 37 * 512);
    const text = descriptor({ createType: 'vmfsSparse', extents: ['RW 4200 VMFSSPARSE "d-delta.vmdk"'] });
    const named = files({ 'd-delta.vmdk': cowd });
    await expectEqual((await openVmdk(memoryFile(text, 'x.vmdk', named))).disk, 4200 * 512, [
      { offset: 7 * 512, bytes: flat.subarray(0, 1024) },
    ]);
    for (const [at, value, message] of [
      [4, 2, /unknown version/],
      [12, 0, /impossible capacity/],
      [16, 3, /impossible grain size/],
      [24, 1, /directory is too short/],
      [20, 0xffff_ffff, /directory lies outside/],
    ] as const) {
      const bad = Buffer.from(cowd);
      bad.writeUInt32LE(value, at);
      await expect(openVmdk(memoryFile(text, 'x.vmdk', files({ 'd-delta.vmdk': bad })))).rejects.toThrow(message);
    }
  });

  it('closes every file that it opened, read or refused', async () => {
    let open = 0;
    const counting = (bytes: Uint8Array): ImageFile => {
      const file = memoryFile(bytes, 'x.vmdk');
      return {
        ...file,
        beside: () => {
          open++;
          return Promise.resolve({ ...memoryFile(flat), [Symbol.asyncDispose]: () => Promise.resolve(void open--) });
        },
      };
    };
    const fine = descriptor({ extents: ['RW 2048 FLAT "a" 0', 'RW 2048 FLAT "b" 0'] });
    const { disk } = await openVmdk(counting(fine));
    expect(open).toBe(2);
    await disk[Symbol.asyncDispose]();
    expect(open).toBe(0);
    const late = descriptor({ extents: ['RW 2048 FLAT "a" 0', 'RW 2049 FLAT "b" 0'] });
    await expect(openVmdk(counting(late))).rejects.toThrow(/shorter than the descriptor says/);
    expect(open).toBe(0);
    const orphan = descriptor({ extents: ['RW 2048 FLAT "a" 0'], extra: ['parentCID=00000001'] });
    await openVmdk(counting(orphan));
    expect(open).toBe(0);
  });
});

describe('a hostile descriptor', () => {
  const many = Array.from({ length: 4097 }, (_, index) => `RW 1 FLAT "f${index}" 0`);
  const cases: Readonly<Record<string, [expected: RegExp, text: Text]>> = {
    'has no extents': [/lists 0 extents/, { extents: [] }],
    'has too many extents': [/lists 4097 extents/, { extents: many }],
    'has an extent of no sectors': [/extent of no sectors/, { extents: ['RW 0 FLAT "a" 0'] }],
    'has extents of more than any disk': [/longer than/, { extents: ['RW 999999999999999 ZERO'] }],
    'names a file twice': [/names "A" twice/, { extents: ['RW 1 SPARSE "A"', 'RW 1 SPARSE "a"'] }],
    'has overlapping extents': [/overlap in "a"/, { extents: ['RW 8 FLAT "a" 0', 'RW 8 FLAT "a" 7'] }],
    'slices a file into crumbs': [
      /names "a" 65 times/,
      { extents: Array.from({ length: 65 }, (_, index) => `RW 1 FLAT "a" ${index}`) },
    ],
    'names itself': [/names itself/, { extents: ['RW 1 FLAT "evil.vmdk" 0'] }],
    'has an extent without a name': [/no name/, { extents: ['RW 1 FLAT'] }],
    'forbids access': [/forbids access/, { extents: ['NOACCESS 1 FLAT "a" 0'] }],
    'has a raw device mapping': [/type VMFSRDM/, { extents: ['RW 1 VMFSRDM "a"'] }],
    'has a SESparse extent': [/type SESPARSE/, { extents: ['RW 1 SESPARSE "a"'] }],
    'has an unknown extent': [/unknown type "MAGIC"/, { extents: ['RW 1 MAGIC "a"'] }],
    'is a whole device': [/whole disk of the host/, { createType: 'fullDevice', extents: ['RW 1 FLAT "/dev/sda" 0'] }],
    'is a partitioned device': [/partitions of the host/, { createType: 'partitionedDevice', extents: [] }],
    'is a raw device of ESX': [/raw device mapping/, { createType: 'vmfsRawDeviceMap', extents: [] }],
    'is SESparse': [/SESparse/, { createType: 'seSparse', extents: [] }],
    'is of an unknown kind': [/type "other"/, { createType: 'other', extents: ['RW 1 FLAT "a" 0'] }],
    'hints at a parent that there is not': [
      /hints at the file of a parent/,
      { extents: ['RW 1 FLAT "a" 0'], extra: ['parentFileNameHint="/etc/passwd"'] },
    ],
    'has a parent without a number': [/parentCID/, { extents: ['RW 1 FLAT "a" 0'], extra: ['parentCID=no'] }],
    'says a thing twice': [/says version twice/, { extents: ['RW 1 FLAT "a" 0'], extra: ['version=1'] }],
    'has prose in it': [/neither a setting/, { extents: ['RW one FLAT "a" 0'] }],
    'has an extent that is longer than its file': [/shorter than/, { extents: ['RW 5 FLAT "a" 0'] }],
    'has an extent behind its file': [/shorter than/, { extents: ['RW 1 FLAT "a" 999999999999999'] }],
    'has an extent that is no VMDK': [/not a sparse VMDK/, { extents: ['RW 1 SPARSE "a"'] }],
  };
  const named = files({ a: new Uint8Array(4 * 512) });
  for (const [name, [expected, text]] of Object.entries(cases)) {
    it(`is refused when it ${name}`, async () => {
      const failure = openVmdk(memoryFile(descriptor(text), 'evil.vmdk', named));
      await expect(failure).rejects.toMatchObject({ name: 'FormatError' });
      await expect(failure).rejects.toThrow(expected);
    });
  }

  it('opens nothing but plain names beside itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const path = join(folder, 'x.vmdk');
      const names = [
        '/etc/passwd',
        '../secret',
        '..',
        'a/b',
        '\\\\.\\PhysicalDrive0',
        'C:disk',
        'http://127.0.0.1/x',
        'nbd:host:1',
      ];
      for (const name of names) {
        await writeFile(path, descriptor({ createType: 'monolithicFlat', extents: [`RW 1 FLAT "${name}" 0`] }));
        await using file = await openImageFile(path);
        await expect(openVmdk(file), name).rejects.toMatchObject({
          code: name === 'nbd:host:1' ? 'file-missing' : 'file-foreign',
        });
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is not followed from inside a sparse file, nor from a raw disk that begins like one', async () => {
    const image = sparse({
      grains: [],
      text: descriptor({ createType: 'monolithicFlat', extents: ['RW 4 FLAT "/etc/passwd" 0'] }).toString(),
    });
    await expect(openVmdk(memoryFile(image))).rejects.toThrow(/type "monolithicFlat"/);
    image.writeBigUInt64LE(0n, 12);
    await expect(openVmdk(memoryFile(image))).rejects.toThrow(/impossible capacity/);
    const raw = Buffer.alloc(2 * MiB);
    descriptor({ extents: ['RW 4 FLAT "a" 0'] }).copy(raw);
    expect(await detectVmdk(memoryFile(raw))).toBe('no');
    await expect(openVmdk(memoryFile(raw))).rejects.toThrow(/FormatError|descriptor|sparse/);
  });

  it('costs no memory with extents that claim huge directories', async () => {
    const part = sparse({ sectors: 8192, grains: [] });
    part.writeBigUInt64LE(2n ** 35n, 12);
    part.writeBigUInt64LE(16n, 20); // a directory of 16 MiB, which one extent may have
    const file = memoryFile(part);
    const huge: ImageFile = {
      ...file,
      size: 2 ** 42,
      read: async (into, offset) => {
        into.fill(0);
        const inside = Math.min(into.length, part.length - offset);
        if (inside > 0) await file.read(into.subarray(0, inside), offset);
      },
    };
    const text = descriptor({ extents: ['RW 34359738368 SPARSE "a"', 'RW 34359738368 SPARSE "b"'] });
    const before = process.memoryUsage().arrayBuffers;
    const beside = () => Promise.resolve(huge);
    await expect(openVmdk({ ...memoryFile(text), beside })).rejects.toThrow(/directory is too large/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * MiB);
  });
});

describe.skipIf(!available('qemu-img', 'qemu-utils'))('what qemu-img makes', () => {
  let folder = '';
  const size = 40 * MiB + 3 * 512;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    const raw = new Uint8Array(size);
    raw.set(texture(3 * MiB, 8), 512);
    raw.set(texture(2 * MiB, 9), size - 2 * MiB);
    await writeFile(join(folder, 'disk.raw'), raw);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const options = [
    'subformat=monolithicSparse',
    'subformat=monolithicSparse,zeroed_grain=on,adapter_type=lsilogic',
    'subformat=monolithicFlat',
    'subformat=twoGbMaxExtentSparse',
    'subformat=twoGbMaxExtentFlat',
    'subformat=streamOptimized',
  ];
  for (const [index, option] of options.entries()) {
    it(`is read with ${option}`, async () => {
      const [raw, path] = [join(folder, 'disk.raw'), join(folder, `disk${index}.vmdk`)];
      await judgeWith('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', '-o', option, raw, path]);
      await using file = await openImageFile(path);
      await using source = await openImageFile(raw);
      await using disk = (await openVmdk(file)).disk;
      expect(await detectVmdk(file)).toBe('yes');
      expect(await compareDisks(disk, rawDisk(source, size), { signal })).toEqual({ equal: true });
      expect(disk.size).toBeGreaterThanOrEqual(size);
    });
  }

  it('is read in parts, and each part says that it is one', async () => {
    for (const subformat of ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
      const path = join(folder, `large-${subformat}.vmdk`);
      await judgeWith('qemu-img', ['create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, path, '5G']);
      await judgeWith('qemu-io', ['-f', 'vmdk', '-c', `write -P 7 ${2048 * MiB - 4096} 8192`, path]);
      await using file = await openImageFile(path);
      await using disk = (await openVmdk(file)).disk;
      expect(disk.size).toBe(5 * 1024 * MiB);
      const into = new Uint8Array(3 * 4096);
      await disk.read(into, 2048 * MiB - 4096);
      expect(Buffer.compare(into, Buffer.alloc(3 * 4096).fill(7, 0, 8192))).toBe(0);
    }
    await using part = await openImageFile(join(folder, 'large-twoGbMaxExtentSparse-s001.vmdk'));
    await expect(openVmdk(part)).rejects.toMatchObject({ code: 'vmdk-unsupported' });
  });

  it('is read over its parent', async () => {
    const [base, child] = [join(folder, 'base.vmdk'), join(folder, 'child.vmdk')];
    await judgeWith('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', join(folder, 'disk.raw'), base]);
    await judgeWith('qemu-img', ['create', '-q', '-f', 'vmdk', '-b', base, '-F', 'vmdk', child]);
    await judgeWith('qemu-io', ['-f', 'vmdk', '-c', 'write -P 9 1M 4k', '-c', 'write -P 8 30M 100k', child]);
    await judgeWith('qemu-img', ['convert', '-f', 'vmdk', '-O', 'raw', child, join(folder, 'flat.raw')]);
    await using baseFile = await openImageFile(base);
    await using file = await openImageFile(child);
    await using expected = await openImageFile(join(folder, 'flat.raw'));
    const parent = await openVmdk(baseFile);
    const opened = await openVmdk(file, { parent: { path: base, disk: parent.disk, linkId: parent.linkId } });
    expect(opened.parent?.linkId).toBe(parent.linkId);
    expect(await compareDisks(opened.disk, rawDisk(expected, expected.size), { signal })).toEqual({ equal: true });
  });
});
