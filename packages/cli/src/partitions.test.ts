import { crc32 } from 'node:zlib';
import type { DiskSource } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { firmwareOf, readPartitions } from './partitions.js';

function disk(bytes: Buffer): DiskSource {
  return {
    size: bytes.length,
    async *extents() {
      yield { offset: 0, length: bytes.length };
    },
    read: (into, offset) => {
      if (offset < 0 || offset + into.length > bytes.length) return Promise.reject(new Error(`read at ${offset}`));
      return Promise.resolve(void bytes.copy(into, 0, offset));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function mbr(bytes: Buffer, at: number, entries: readonly [type: number, start: number, sectors: number][]): Buffer {
  bytes.writeUInt16LE(0xaa55, at + 510);
  entries.forEach(([type, start, sectors], index) => {
    bytes[at + 446 + 16 * index + 4] = type;
    bytes.writeUInt32LE(start, at + 446 + 16 * index + 8);
    bytes.writeUInt32LE(sectors, at + 446 + 16 * index + 12);
  });
  return bytes;
}

/** A GPT as UEFI §5.3 has it, made without the code under test. */
function gpt(sectors = 4096): Buffer {
  const bytes = mbr(Buffer.alloc(sectors * 512), 0, [[0xee, 1, sectors - 1]]);
  const entry = (index: number, type: string, first: number, last: number, name: string) => {
    const at = 1024 + index * 128;
    Buffer.from(type, 'hex').copy(bytes, at);
    bytes[at + 16] = index + 1;
    bytes.writeBigUInt64LE(BigInt(first), at + 32);
    bytes.writeBigUInt64LE(BigInt(last), at + 40);
    bytes.write(name, at + 56, 'utf16le');
  };
  entry(0, '4861682149646f6e744e656564454649', 34, 63, '');
  entry(1, '28732ac11ff8d211ba4b00a0c93ec93b', 64, 1023, 'ESP');
  entry(3, 'af3dc60f838472478e793d69d8477de4', 1024, 4000, 'root\u202e');
  const header = bytes.subarray(512, 1024);
  header.write('EFI PART');
  header.writeUInt32LE(0x10000, 8);
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(BigInt(sectors - 1), 32);
  header.fill(0x11, 56, 72);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  header.writeUInt32LE(crc32(bytes.subarray(1024, 1024 + 128 * 128)), 88);
  header.writeUInt32LE(crc32(header.subarray(0, 92)), 16);
  header.copy(bytes, (sectors - 1) * 512);
  return bytes;
}

const uuid = (first: number) => `000000${first.toString(16).padStart(2, '0')}-0000-0000-0000-000000000000`;
const messages = async (bytes: Buffer) => (await readPartitions(disk(bytes))).problems.map(({ message }) => message);

describe('readPartitions', () => {
  it('reads a GPT', async () => {
    expect(await readPartitions(disk(gpt()))).toEqual({
      kind: 'gpt',
      identity: '11111111-1111-1111-1111-111111111111',
      sectorSize: 512,
      problems: [],
      partitions: [
        { number: 1, start: 34 * 512, size: 30 * 512, type: 'BIOS boot', name: '', boot: false, uuid: uuid(1) },
        { number: 2, start: 64 * 512, size: 960 * 512, type: 'EFI system', name: 'ESP', boot: false, uuid: uuid(2) },
        {
          number: 4,
          start: 1024 * 512,
          size: 2977 * 512,
          type: 'Linux file system',
          name: 'root?',
          boot: false,
          uuid: uuid(4),
        },
      ],
    });
  });

  it('reads an MBR with logical partitions', async () => {
    const bytes = mbr(Buffer.alloc(200 * 512), 0, [
      [0x83, 1, 9],
      [0x05, 10, 90],
    ]);
    bytes[446] = 0x80;
    mbr(bytes, 10 * 512, [
      [0x83, 1, 9],
      [0x05, 10, 10],
    ]);
    mbr(bytes, 20 * 512, [[0x82, 1, 9]]);
    const { kind, partitions } = await readPartitions(disk(bytes));
    expect(kind).toBe('mbr');
    expect(partitions.map(({ number, start, type, boot }) => [number, start / 512, type, boot])).toEqual([
      [1, 1, 'Linux', true],
      [2, 10, 'extended', false],
      [5, 11, 'Linux', false],
      [6, 21, 'Linux swap', false],
    ]);
  });

  it('says when there is none', async () => {
    for (const bytes of [Buffer.alloc(4096), Buffer.alloc(0), gpt().subarray(0, 500)])
      expect((await readPartitions(disk(bytes))).kind).toBe('none');
  });

  it('ends on a chain of logical partitions that is a ring', async () => {
    const bytes = mbr(Buffer.alloc(100 * 512), 0, [[0x05, 10, 90]]);
    mbr(bytes, 10 * 512, [
      [0x83, 1, 9],
      [0x05, 0, 90],
    ]);
    expect((await readPartitions(disk(bytes))).partitions).toHaveLength(2);
  });

  it('reports checksums, impossible counts and entries off the disk, and reads no further', async () => {
    const header = gpt();
    header[512 + 60] = 1;
    expect(await messages(header)).toEqual(['the checksum of the GPT header is wrong']);
    const count = gpt();
    count.writeUInt32LE(0xffffffff, 512 + 80);
    expect((await messages(count)).at(-1)).toContain('4294967295 entries');
    const far = gpt();
    far.writeBigUInt64LE(0xffffffffffffffffn, 512 + 72);
    expect((await readPartitions(disk(far))).partitions).toEqual([]);
    expect(await messages(gpt(2048))).toEqual([
      'partition 4 does not lie on the disk: it ends at byte 2048512 of 1048576',
    ]);
  });

  it('tells where the backup GPT is when it is not at the end', async () => {
    const whole = gpt();
    const longer = Buffer.concat([whole, Buffer.alloc(512)]);
    expect(await messages(longer)).toEqual([expect.stringContaining('the disk was enlarged') as string]);
    expect((await messages(whole.subarray(0, -512)))[0]).toContain('behind the end of the disk (sector 4095 of 4095)');
    whole.fill(0, 4095 * 512);
    expect(await messages(whole)).toEqual([expect.stringContaining('there is no backup GPT') as string]);
  });

  it('reads a GPT in sectors of 4096 bytes', async () => {
    const small = gpt();
    const bytes = Buffer.alloc(4096 * 4096);
    small.copy(bytes, 0, 0, 512);
    small.copy(bytes, 4096, 512, 1024);
    small.copy(bytes, 8192, 1024, 1024 + 128 * 128);
    small.copy(bytes, 4095 * 4096, 512, 1024);
    const { sectorSize, partitions, problems } = await readPartitions(disk(bytes));
    expect([sectorSize, partitions[1]?.start, partitions[1]?.size, problems]).toEqual([
      4096,
      64 * 4096,
      960 * 4096,
      [],
    ]);
  });

  it('tells the signature of an MBR, and a boot sector from one', async () => {
    const bytes = mbr(Buffer.alloc(100 * 512), 0, [[0x83, 1, 9]]);
    bytes.writeUInt32LE(0xabc, 440);
    expect(await readPartitions(disk(bytes))).toMatchObject({ kind: 'mbr', identity: '00000abc' });
    bytes.write('Remove disks or other media', 446 + 32);
    expect(await readPartitions(disk(bytes))).toMatchObject({ kind: 'none' });
  });

  it('survives any single byte that is wrong', async () => {
    for (let at = 440; at < 2048; at += 3) {
      const bytes = gpt(64);
      bytes[at] = (bytes[at] ?? 0) ^ 0xff;
      await readPartitions(disk(bytes));
    }
  });
});

describe('firmwareOf', () => {
  it('sees what a disk boots under', async () => {
    const bytes = gpt();
    expect(await firmwareOf(disk(bytes))).toEqual(['uefi']);
    bytes[0] = 0xeb;
    expect(await firmwareOf(disk(bytes))).toEqual(['bios', 'uefi']);
    expect(await firmwareOf(disk(Buffer.alloc(4096)))).toEqual(['bios', 'uefi']);
  });
});
