import { BLOCK_SIZE, compareDisks, createBlock } from '@polyvisor/core';
import { job, memoryDisk, memorySink, noise, texture, write } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { DEFAULT_BLOCK_SIZE, MAX_BLOCKS } from './layout.js';
import { vdi } from './vdi.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;

const sparse = (size: number) =>
  memoryDisk(size, [
    { offset: 0, bytes: noise(512) },
    { offset: 3 * MiB - 4096, bytes: texture(8192, 2) },
    { offset: 9 * MiB + 512, bytes: noise(3 * MiB, 3) },
  ]);

describe('a VDI', () => {
  it('has the header that VirtualBox gives it', async () => {
    const { sink } = await write(vdi, memoryDisk(8 * MiB, [{ offset: 5 * MiB, bytes: noise(512) }]), {
      uuid: '00112233-4455-6677-8899-AABBCCDDEEFF',
      comment: 'über',
    });
    const bytes = Buffer.from(sink.bytes());
    expect(bytes.length).toBe(3 * MiB);
    expect(bytes.toString('latin1', 0, 41)).toBe('<<< Oracle VM VirtualBox Disk Image >>>\n\0');
    expect(bytes.toString('hex', 64, 84)).toBe('7f10dabe' + '01000100' + '90010000' + '01000000' + '00000000');
    expect(bytes.toString('utf8', 84, 90)).toBe('über\0');
    expect(bytes.toString('hex', 340, 348)).toBe('00001000' + '00002000');
    expect(bytes.toString('hex', 348, 392)).toBe(
      // geometry, unused, disk size, block size, extra, blocks, allocated
      '000000000000000000000000' +
        '00020000' +
        '00000000' +
        '0000800000000000' +
        '00001000' +
        '00000000' +
        '08000000' +
        '01000000',
    );
    expect(bytes.toString('hex', 392, 408)).toBe('33221100554477668899aabbccddeeff');
    expect(bytes.subarray(408, 424).equals(bytes.subarray(392, 408))).toBe(false);
    expect(bytes.toString('hex', 424, 472)).toBe('00'.repeat(44) + '00020000');
    expect(bytes.toString('hex', MiB, MiB + 36)).toBe('ff'.repeat(20) + '00000000' + 'ff'.repeat(8) + '00000000');
  });

  it.each(['64k', '256k', '1M', '2M', '8M', '64M'])('reads back with blocks of %s', async (block) => {
    for (const subformat of ['dynamic', 'fixed']) {
      const { sink } = await write(vdi, sparse(64 * MiB + 512), { block, subformat });
      const { disk, facts } = await vdi.open(sink.file());
      expect(disk.size).toBe(64 * MiB + 512);
      expect(await compareDisks(sparse(64 * MiB + 512), disk, { signal })).toEqual({ equal: true });
      expect(facts['VDI type']).toBe(subformat);
    }
  });

  it('stores a large block once, however many parts of it come', async () => {
    const disk = memoryDisk(32 * MiB, [{ offset: 0, bytes: noise(17 * MiB) }]);
    const { sink } = await write(vdi, disk, { block: '8M' });
    expect(sink.size).toBe(2 * MiB + 3 * 8 * MiB);
  });

  it('leaves holes in the file for what is zero, and reports them as holes', async () => {
    for (const subformat of ['dynamic', 'fixed']) {
      const { sink } = await write(vdi, sparse(64 * MiB), { subformat });
      const { disk } = await vdi.open(sink.file());
      let data = 0;
      for await (const { length } of disk.extents()) data += length;
      expect(data).toBeLessThan(4 * MiB);
    }
  });

  it('is written from front to back when it is fixed', async () => {
    const order: number[] = [];
    const sink = memorySink({ beforeWrite: (offset) => void order.push(offset) });
    const source = sparse(64 * MiB);
    const { writer } = await write(vdi, source, { subformat: 'fixed' }, sink);
    expect(writer.order).toBe('append');
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect((await vdi.create(job(MiB, memorySink(), {}))).order).toBeUndefined();
  });

  it('holds the largest disk in the memory of a page of its map', async () => {
    const size = MAX_BLOCKS * DEFAULT_BLOCK_SIZE;
    const dataOffset = MiB + 2 ** 31;
    const written: { offset: number; bytes: Uint8Array }[] = [];
    let end = 0;
    let mapBytes = 0;
    const sink = {
      ...memorySink(),
      write: (bytes: Uint8Array, offset: number) => {
        // Of the map, 2 GiB, only the last pages are kept.
        if (offset >= MiB && offset < dataOffset) mapBytes += bytes.length;
        if (offset < MiB || offset >= 2 ** 31 - 300_000) written.push({ offset, bytes: Uint8Array.from(bytes) });
        return Promise.resolve();
      },
      end: (final: number) => {
        end = final;
        return Promise.resolve();
      },
    };
    const writer = await vdi.create({ ...job(size, memorySink(), {}), sink });
    const block = createBlock(size - BLOCK_SIZE, noise(BLOCK_SIZE));
    if (block !== undefined) await writer.write(block);
    await writer.finish();
    expect(end).toBe(dataOffset + 2 * MiB);
    expect(mapBytes).toBe(MAX_BLOCKS * 4);
    const header = written.find(({ offset }) => offset === 0)?.bytes ?? new Uint8Array();
    const fields = Buffer.from(header);
    expect(fields.readUInt32LE(344)).toBe(dataOffset);
    expect(fields.readBigUInt64LE(368)).toBe(BigInt(size));
    expect(fields.readUInt32LE(388)).toBe(2);
    const last = Buffer.from(written.findLast(({ offset }) => offset > 0 && offset < dataOffset)?.bytes ?? []);
    // The last two blocks, before which everything is free.
    expect(last.subarray(-12).toString('hex')).toBe('ffffffff' + '00000000' + '01000000');
  }, 30_000);

  it.each([
    [{ block: '96k' }, /power of two/],
    [{ block: 512 }, /64k to 64M/],
    [{ uuid: '00000000-0000-0000-0000-000000000000' }, /all zero/],
    [{ uuid: 'x' }, /hexadecimal/],
    [{ comment: 'a\nb' }, /one line/],
    [{ comment: 'ä'.repeat(128) }, /shorter than 256/],
    [{ subformat: 'diff' }, /subformat/],
  ])('refuses %j', async (options, message) => {
    await expect(vdi.create(job(MiB, memorySink(), options))).rejects.toThrow(message);
  });

  it('refuses a disk that its blocks are too small for', async () => {
    await expect(vdi.create(job(2 ** 46, memorySink(), { block: '64k' }))).rejects.toMatchObject({
      code: 'vdi-block-too-small',
    });
  });
});
