import { compareDisks, createDeflater, createIdentity, type Patch, pump } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, memoryFile, memorySink, texture } from '@polyvisor/testkit';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkVmdk } from './check.js';
import { openVmdk } from './open.js';
import { repairVmdk } from './repair.js';
import { SparseWriter } from './sparse-writer.js';
import { StreamWriter } from './stream-writer.js';

const MiB = 1024 * 1024;
const SIZE = 96 * MiB;
const PIECES = [
  { offset: 0, bytes: texture(200_000, 1) },
  { offset: 70 * MiB, bytes: texture(200_000, 2) },
];
const { signal } = new AbortController();
const common = { adapterType: 'lsilogic', hardwareVersion: 13, level: 1, grain: 64 * 1024 } as const;

let stream: Buffer;
let sparse: Buffer;

beforeAll(async () => {
  const make = async (kind: typeof StreamWriter | typeof SparseWriter) => {
    const sink = memorySink();
    const writer = new kind({ size: SIZE, sink, identity: createIdentity('test'), deflater: createDeflater() }, common);
    await pump(memoryDisk(SIZE, PIECES), [writer], { signal });
    await writer.finish();
    return Buffer.from(sink.bytes());
  };
  stream = await make(StreamWriter);
  sparse = await make(SparseWriter);
});

async function patchesFor(bytes: Uint8Array): Promise<Patch[]> {
  const patches = [];
  for await (const patch of repairVmdk(memoryFile(bytes), signal)) patches.push(patch);
  return patches;
}

async function repaired(bytes: Uint8Array): Promise<{ image: Buffer; reasons: string[] }> {
  const patches = await patchesFor(bytes);
  let image: Buffer = Buffer.from(bytes);
  for (const { offset, bytes: patch } of patches) {
    expect(offset).toBeLessThanOrEqual(image.length);
    if (offset + patch.length > image.length)
      image = Buffer.concat([image, Buffer.alloc(offset + patch.length - image.length)]);
    image.set(patch, offset);
  }
  return { image, reasons: [...new Set(patches.map(({ reason }) => reason))] };
}

/** The repaired image is sound, holds the disk, and has nothing left to mend. */
async function expectMended(bytes: Uint8Array, reason: RegExp): Promise<Buffer> {
  const { image, reasons } = await repaired(bytes);
  expect(reasons).toEqual([expect.stringMatching(reason)]);
  const findings = [];
  for await (const finding of checkVmdk(memoryFile(image), { signal })) findings.push(finding);
  expect(findings).toEqual([]);
  const { disk, warnings } = await openVmdk(memoryFile(image));
  expect(warnings).toBeUndefined();
  expect(await compareDisks(disk, memoryDisk(SIZE, PIECES), { signal })).toEqual({ equal: true });
  expect(await patchesFor(image)).toEqual([]);
  return image;
}

const changed = (image: Buffer, change: (bytes: Buffer) => void): Buffer => {
  const copy = Buffer.from(image);
  change(copy);
  return copy;
};

describe('repair of a sparse disk', () => {
  const place = (field: number) => Number(sparse.readBigUInt64LE(field)) * 512;

  it('changes nothing in a sound one', async () => {
    expect(await patchesFor(sparse)).toEqual([]);
    expect(await patchesFor(stream)).toEqual([]);
  });

  it('clears the mark of an unclean shutdown', async () => {
    await expectMended(
      changed(sparse, (bytes) => void (bytes[72] = 1)),
      /not closed cleanly/,
    );
  });

  it('makes the copy of the directory anew, whatever is wrong with it', async () => {
    const changes: ((bytes: Buffer) => void)[] = [
      (bytes) => void bytes.writeBigUInt64LE(1n << 40n, 48),
      (bytes) => void bytes.writeUInt32LE(0xffff_ffff, place(48)),
      // Now the copy of the table is said to be where a grain is, which must survive.
      (bytes) => void bytes.writeUInt32LE(bytes.readUInt32LE(bytes.readUInt32LE(place(56)) * 512), place(48)),
      (bytes) => void bytes.writeUInt32LE(0, bytes.readUInt32LE(place(48)) * 512),
    ];
    for (const change of changes)
      await expectMended(changed(sparse, change), /copy of the grain directory was damaged/);
  });

  it('makes the directory anew from its copy, also when only an entry of a table is impossible', async () => {
    const changes: ((bytes: Buffer) => void)[] = [
      (bytes) => void bytes.writeBigUInt64LE(1n << 40n, 56),
      (bytes) => void bytes.writeUInt32LE(0xffff_ffff, place(56)),
      (bytes) => void bytes.writeUInt32LE(0xffff_ffff, bytes.readUInt32LE(place(56)) * 512),
      (bytes) =>
        void bytes.writeUInt32LE(
          bytes.readUInt32LE(bytes.readUInt32LE(place(56)) * 512 + 4),
          bytes.readUInt32LE(place(56)) * 512,
        ),
    ];
    for (const change of changes) await expectMended(changed(sparse, change), /^the grain directory was damaged/);
  });

  it('does nothing when both are damaged, or the file went through text mode', async () => {
    const hopeless = changed(sparse, (bytes) => {
      bytes.writeBigUInt64LE(1n << 40n, 48);
      bytes.writeBigUInt64LE(1n << 40n, 56);
    });
    expect(await patchesFor(hopeless)).toEqual([]);
    expect(await patchesFor(changed(sparse, (bytes) => void (bytes[74] = 0)))).toEqual([]);
    expect(await patchesFor(new Uint8Array(100))).toEqual([]);
    expect(await patchesFor(Buffer.from('# Disk DescriptorFile\nversion=1\n'.padEnd(600)))).toEqual([]);
  });

  it.skipIf(!available('qemu-img', 'qemu-utils'))('leaves what qemu-img finds sound', async () => {
    const image = await expectMended(
      changed(sparse, (bytes) => void bytes.writeUInt32LE(0xffff_ffff, place(56))),
      /grain directory/,
    );
    const folder = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      await writeFile(join(folder, 'mended.vmdk'), image);
      await writeFile(join(folder, 'sound.vmdk'), sparse);
      await judgeWith('qemu-img', ['check', '-f', 'vmdk', join(folder, 'mended.vmdk')]);
      const both = [join(folder, 'mended.vmdk'), join(folder, 'sound.vmdk')];
      await judgeWith('qemu-img', ['compare', '-f', 'vmdk', '-F', 'vmdk', ...both]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('repair of a stream', () => {
  it('makes the header of the footer', async () => {
    for (const change of [
      (bytes: Buffer) => void bytes.writeUInt32LE(7, 12),
      (bytes: Buffer) => void bytes.writeUInt32LE(9, 4),
      (bytes: Buffer) => void bytes.writeBigUInt64LE(12n, 20),
    ])
      expect(await expectMended(changed(stream, change), /made of the footer/)).toEqual(stream);
  });

  it('makes the footer of the header, as long as it knows the directory', async () => {
    for (const at of [0, 12, 20, 44])
      expect(
        await expectMended(
          changed(stream, (bytes) => void (bytes[bytes.length - 1024 + at] = 0xee)),
          /made of the header/,
        ),
      ).toEqual(stream);
    const lost = changed(stream, (bytes) => void (bytes[bytes.length - 1024 + 56] = 0xee));
    expect(await patchesFor(lost)).toEqual([]);
  });

  it('makes the markers at the end', async () => {
    const first = changed(stream, (bytes) => void bytes.fill(7, bytes.length - 1536, bytes.length - 1024));
    await expectMended(first, /marker before the footer/);
    const last = changed(stream, (bytes) => void bytes.fill(7, bytes.length - 512));
    await expectMended(last, /marker at the end/);
  });

  it('does nothing when header and footer agree, or nothing leads to a disk', async () => {
    const wrong = changed(stream, (bytes) => {
      bytes.writeUInt32LE(7, 12);
      bytes.writeUInt32LE(7, bytes.length - 1024 + 12);
    });
    expect(await patchesFor(wrong)).toEqual([]);
    expect(await patchesFor(stream.subarray(0, -512))).toEqual([]);
  });

  it('does without a copy of the directory that is damaged, since nothing may follow the end', async () => {
    const directory = stream.readBigUInt64LE(stream.length - 1024 + 56);
    const front = Buffer.concat([stream.subarray(0, -1536), Buffer.alloc(512)]);
    front.writeUInt32LE(0x30003, 8);
    front.writeBigUInt64LE(directory, 56);
    front.writeBigUInt64LE(1n << 40n, 48);
    await expectMended(front, /does without a second one/);
    front.writeBigUInt64LE(directory, 48);
    front.writeBigUInt64LE(1n << 40n, 56);
    await expectMended(front, /does without a second one/);
  });
});
