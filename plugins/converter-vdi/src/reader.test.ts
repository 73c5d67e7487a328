import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compareDisks, type DiskSource, openImageFile, type ParentImage, rawDisk } from '@polyvisor/core';
import { available, type MemoryDisk, memoryDisk, memoryFile, noise, texture, write } from '@polyvisor/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { HEADER_0, HEADER_1 } from './layout.js';
import { encodeUuid } from './uuid.js';
import { vdi } from './vdi.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;
const LINK = '11111111-2222-3333-4444-555555555555';
const OTHER = '99999999-2222-3333-4444-555555555555';

const source = (): MemoryDisk =>
  memoryDisk(8 * MiB, [
    { offset: MiB, bytes: texture(MiB + 5000, 3) },
    { offset: 6 * MiB + 512, bytes: noise(700_000, 4) },
  ]);

let sample: Buffer;
beforeAll(async () => {
  sample = Buffer.from((await write(vdi, source(), {})).sink.bytes());
});

/** The sample with some of its fields set. */
function changed(fields: Readonly<Record<number, number | bigint | string>>, bytes = Buffer.from(sample)): Buffer {
  for (const [offset, value] of Object.entries(fields)) {
    if (typeof value === 'string') encodeUuid(value).copy(bytes, Number(offset));
    else if (typeof value === 'bigint') bytes.writeBigUInt64LE(value, Number(offset));
    else bytes.writeUInt32LE(value, Number(offset));
  }
  return bytes;
}

/** Entry `block` of the sample's map. */
const entry = (block: number) => MiB + 4 * block;

const open = (bytes: Uint8Array, parent?: ParentImage) =>
  vdi.open(memoryFile(bytes, 'some.vdi'), parent === undefined ? {} : { parent });

async function expectEqual(disk: DiskSource, wanted = source()): Promise<void> {
  expect(await compareDisks(wanted, disk, { signal })).toEqual({ equal: true });
}

describe('reading a VDI', () => {
  it('takes headers with and without the geometry, and text that is none', async () => {
    await expectEqual((await open(changed({ [HEADER_1.headerSize]: 0x180 }))).disk);
    await expectEqual((await open(changed({ 0: 0xffff_ffff, [HEADER_1.comment]: 0xffff_ffff }))).disk);
  });

  it('tells who the image is', async () => {
    const { facts, linkId, parent } = await open(sample);
    expect(facts).toMatchObject({ 'VDI type': 'dynamic', 'block size': MiB, 'blocks stored': '3 of 8' });
    expect(linkId).toBe(`${facts['image UUID'] as string}/${facts['modification UUID'] as string}`);
    expect(parent).toBeUndefined();
  });

  it('reads what has extra bytes in front of each block', async () => {
    const bytes = Buffer.concat([
      sample.subarray(0, 2 * MiB),
      ...[0, 1, 2].flatMap((block) => [Buffer.alloc(512, 0x55), sample.subarray((2 + block) * MiB, (3 + block) * MiB)]),
    ]);
    await expectEqual((await open(changed({ [HEADER_1.blockExtra]: 512 }, bytes))).disk);
  });

  it('reads blocks in any order, and zero by decree', async () => {
    const swapped = Buffer.from(sample);
    sample.copy(swapped, 2 * MiB, 4 * MiB, 5 * MiB);
    sample.copy(swapped, 4 * MiB, 2 * MiB, 3 * MiB);
    await expectEqual((await open(changed({ [entry(1)]: 2, [entry(6)]: 0, [entry(0)]: 0xffff_fffe }, swapped))).disk);
  });

  it('reads a last block that ends with the disk', async () => {
    const { sink } = await write(vdi, memoryDisk(MiB + 512, [{ offset: MiB, bytes: noise(512) }]), {});
    const { disk } = await open(sink.bytes().subarray(0, 2 * MiB + 512));
    await expectEqual(disk, memoryDisk(MiB + 512, [{ offset: MiB, bytes: noise(512) }]));
  });

  it('reads version 0.2, where the parts follow each other without a gap', async () => {
    const bytes = Buffer.alloc(HEADER_0.end + 32);
    sample.copy(bytes, 0, 0, 68);
    sample.copy(bytes, HEADER_0.end, MiB, MiB + 32);
    changed(
      {
        68: 2,
        [HEADER_0.type]: 1,
        [HEADER_0.diskSize]: BigInt(8 * MiB),
        [HEADER_0.blockSize]: MiB,
        [HEADER_0.blocks]: 8,
        [HEADER_0.allocated]: 3,
        [HEADER_0.imageId]: LINK,
      },
      bytes,
    );
    const old = Buffer.concat([bytes, sample.subarray(2 * MiB)]);
    const { disk, facts } = await open(old);
    expect(facts).toMatchObject({ 'VDI version': '0.2', 'image UUID': LINK });
    await expectEqual(disk);
    expect(await vdi.detect(memoryFile(old))).toBe('yes');
  });

  it('rounds an odd size down, as VirtualBox does, and says so', async () => {
    const { disk, warnings } = await open(changed({ [HEADER_1.diskSize]: BigInt(8 * MiB - 100) }));
    expect(disk.size).toBe(8 * MiB - 512);
    expect(warnings?.[0]).toContain('whole sectors');
  });

  it('is not sure of a signature alone', async () => {
    const raw = Buffer.alloc(MiB);
    sample.copy(raw, 64, 64, 68);
    expect(await vdi.detect(memoryFile(raw))).toBe('maybe');
    expect(await vdi.detect(memoryFile(sample))).toBe('yes');
  });

  it('refuses reads beyond the disk', async () => {
    const { disk } = await open(sample);
    await expect(disk.read(new Uint8Array(512), 8 * MiB)).rejects.toThrow(RangeError);
  });
});

describe('a VDI with a parent', () => {
  const child = (fields: Readonly<Record<number, number | bigint | string>> = {}) =>
    changed({
      [HEADER_1.type]: 4,
      [HEADER_1.linkId]: LINK,
      [HEADER_1.parentModificationId]: OTHER,
      [entry(2)]: 0xffff_fffe,
      [HEADER_1.allocated]: 2,
      ...fields,
    });
  const parentOf = (disk: DiskSource, linkId: string | undefined = `${LINK}/${OTHER}`): ParentImage => ({
    path: 'parent.vdi',
    disk,
    linkId,
  });
  const full = (size: number) => memoryDisk(size, [{ offset: 0, bytes: noise(size, 9) }]);

  it('can be described without it, and not read', async () => {
    const { disk, parent, facts } = await open(child());
    expect(parent).toEqual({ names: [], linkId: `${LINK}/${OTHER}` });
    expect(facts).toMatchObject({ 'VDI type': 'differencing', 'parent UUID': LINK });
    expect(disk.size).toBe(8 * MiB);
    await expect(disk.read(new Uint8Array(512), 0)).rejects.toMatchObject({ code: 'parent-missing' });
    await expect(disk.extents()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'parent-missing' });
  });

  it.each([3, 4])('is its own blocks over those of the parent, as type %i', async (type) => {
    // Shorter than the child: what is beyond its end is zero.
    const parent = full(4 * MiB);
    const { disk } = await open(child({ [HEADER_1.type]: type }), parentOf(parent));
    const bytes = Buffer.alloc(8 * MiB);
    await full(4 * MiB).read(bytes.subarray(0, 4 * MiB), 0);
    await source().read(bytes.subarray(MiB, 2 * MiB), MiB);
    bytes.fill(0, 2 * MiB, 3 * MiB);
    await source().read(bytes.subarray(6 * MiB), 6 * MiB);
    await expectEqual(disk, memoryDisk(8 * MiB, [{ offset: 0, bytes }]));
  });

  it('clips a longer parent', async () => {
    const { disk } = await open(child(), parentOf(full(10 * MiB)));
    let end = 0;
    for await (const { offset, length } of disk.extents()) end = offset + length;
    expect(end).toBe(8 * MiB);
  });

  it('is refused with another parent than the one it was made from', async () => {
    for (const linkId of [`${LINK}/${LINK}`, `${OTHER}/${OTHER}`, undefined])
      await expect(open(child(), { ...parentOf(full(MiB)), linkId })).rejects.toMatchObject({
        code: 'parent-mismatch',
      });
  });

  it('is compared by the parent alone where nothing says when that was changed', async () => {
    const old = child({ [HEADER_1.parentModificationId]: '00000000-0000-0000-0000-000000000000' });
    await expect(open(old, parentOf(full(MiB), `${LINK}/${LINK}`))).resolves.toBeDefined();
    await expect(open(old, parentOf(full(MiB), `${OTHER}/${OTHER}`))).rejects.toMatchObject({
      code: 'parent-mismatch',
    });
    const nameless = child({ [HEADER_1.linkId]: '00000000-0000-0000-0000-000000000000' });
    await expect(open(nameless, { ...parentOf(full(MiB)), linkId: undefined })).resolves.toBeDefined();
  });
});

describe('a hostile VDI', () => {
  it.each<[string, Readonly<Record<number, number | bigint>>, RegExp]>([
    ['no signature', { 64: 1 }, /not a VDI/],
    ['version 2.0', { 68: 0x20000 }, /version of VDI that is not read.*found 2\.0/],
    ['version 0.1', { 68: 1 }, /version of VDI that is not read/],
    ['type 0', { [HEADER_1.type]: 0 }, /unknown type/],
    ['type 5', { [HEADER_1.type]: 5 }, /unknown type/],
    ['a block size of 0', { [HEADER_1.blockSize]: 0 }, /impossible block size/],
    ['an odd block size', { [HEADER_1.blockSize]: 3 * MiB }, /impossible block size/],
    ['a huge block size', { [HEADER_1.blockSize]: 2 ** 31 }, /impossible block size/],
    ['a tiny block size', { [HEADER_1.blockSize]: 256 }, /impossible block size/],
    ['odd extra bytes', { [HEADER_1.blockExtra]: 3 }, /extra bytes/],
    ['huge extra bytes', { [HEADER_1.blockExtra]: 2 ** 31 }, /extra bytes/],
    ['no disk', { [HEADER_1.diskSize]: 0n }, /does not cover the disk/],
    ['a disk of less than a sector', { [HEADER_1.diskSize]: 511n }, /does not cover the disk/],
    ['a disk beyond its map', { [HEADER_1.diskSize]: BigInt(8 * MiB + 512) }, /does not cover the disk/],
    ['the largest disk of all', { [HEADER_1.diskSize]: 0xffff_ffff_ffff_fe00n }, /does not cover the disk/],
    ['a map without entries', { [HEADER_1.blocks]: 0 }, /does not cover the disk/],
    ['a map longer than the file', { [HEADER_1.blocks]: 0xffff_ffff }, /map lies beyond the end/],
    ['a map over the header', { [HEADER_1.mapOffset]: 100 }, /map lies over the header/],
    ['a map beyond the end', { [HEADER_1.mapOffset]: 0xffff_fe00 }, /map lies beyond the end/],
    ['data over the map', { [HEADER_1.dataOffset]: MiB }, /data lies over the map/],
    ['data over the header', { [HEADER_1.dataOffset]: 0 }, /data lies over the map/],
    ['a block beyond the end', { [MiB + 4]: 100 }, /block 1 of the disk lies outside the file/],
    ['the farthest block', { [MiB + 4]: 0xffff_fffd }, /lies outside the file/],
    ['a block twice', { [MiB]: 2 }, /is stored where another is/],
  ])('is refused with %s', async (_, fields, message) => {
    const failure = open(changed(fields));
    await expect(failure).rejects.toMatchObject({ name: 'FormatError', file: 'some.vdi' });
    await expect(failure).rejects.toThrow(message);
  });

  it('is refused when it is cut short', async () => {
    for (const length of [0, 63, 100, 455, MiB, MiB + 16, 2 * MiB, sample.length - MiB])
      await expect(open(sample.subarray(0, length))).rejects.toMatchObject({ name: 'FormatError' });
  });

  it('costs no more than its file when it claims to be enormous', async () => {
    // A map of 4 GiB of holes: entry 0, again and again.
    const start = changed({
      [HEADER_1.blocks]: 2 ** 30,
      [HEADER_1.diskSize]: 2n ** 50n,
      [HEADER_1.dataOffset]: 0xfff0_0000,
    }).subarray(0, MiB);
    const file = {
      ...memoryFile(start, 'huge.vdi'),
      size: 2 ** 50,
      read: (into: Uint8Array, offset: number) => {
        into.fill(0);
        into.set(start.subarray(offset, offset + into.length));
        return Promise.resolve();
      },
    };
    await expect(vdi.open(file)).rejects.toThrow(/data lies over the map|stored where another/);
    start.writeUInt32LE(2 ** 29, HEADER_1.blocks);
    start.writeBigUInt64LE(2n ** 49n, HEADER_1.diskSize);
    await expect(vdi.open(file)).rejects.toThrow(/block 1 of the disk is stored where another is/);
  });
});

describe.skipIf(!available('qemu-img', 'qemu-utils'))("qemu-img's VDI", () => {
  it.each([[''], ['-ostatic=on']])('is read exactly, made with %j', async (option) => {
    const scratch = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const [raw, image] = [join(scratch, 'a.raw'), join(scratch, 'a.vdi')];
      const run = promisify(execFile);
      await run('qemu-img', ['create', '-q', '-f', 'raw', raw, `${37 * MiB + 512}`]);
      for (const place of ['0 512', '5M 3000000', '36M 1049088'])
        await run('qemu-io', ['-f', 'raw', '-c', `write -P 0x5a ${place.replace('3000000', '2999808')}`, raw]);
      await run('qemu-img', ['convert', '-f', 'raw', '-O', 'vdi', ...(option === '' ? [] : [option]), raw, image]);
      await using rawFile = await openImageFile(raw);
      await using file = await openImageFile(image);
      const { disk, facts } = await vdi.open(file);
      expect(facts['VDI type']).toBe(option === '' ? 'dynamic' : 'fixed');
      await expectEqual(disk, rawDisk(rawFile, rawFile.size) as MemoryDisk);
      const findings = [];
      for await (const finding of vdi.check?.(file, { signal }) ?? []) findings.push(finding);
      expect(findings).toEqual([]);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
