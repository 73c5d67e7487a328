import { BLOCK_SIZE, compareDisks } from '@polyvisor/core';
import { job, memoryDisk, memorySink, type MemorySink, noise, type Piece, write } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { vhdx } from './vhdx.js';

const KiB = 1024;
const MiB = 2 ** 20;
const TiB = 2 ** 40;
const { signal } = new AbortController();

async function convert(size: number, pieces: readonly Piece[], options: Readonly<Record<string, unknown>> = {}) {
  const writes: { readonly offset: number; readonly length: number }[] = [];
  const sink = memorySink({ beforeWrite: (offset, length) => void writes.push({ offset, length }) });
  const { writer } = await write(vhdx, memoryDisk(size, pieces), options, sink);
  return { sink, writes, writer, stored: writes.reduce((sum, { length }) => sum + length, 0) };
}

async function expectReadBack(sink: MemorySink, size: number, pieces: readonly Piece[]): Promise<void> {
  const { disk } = await vhdx.open(sink.file());
  expect(await compareDisks(memoryDisk(size, pieces), disk, { signal })).toEqual({ equal: true });
}

async function rulesOf(sink: MemorySink): Promise<readonly string[]> {
  const rules: string[] = [];
  for await (const { rule } of vhdx.check?.(sink.file(), { signal }) ?? []) rules.push(rule);
  return rules;
}

const hex = (sink: MemorySink, from: number, to: number) =>
  Buffer.from(sink.bytes().subarray(from, to)).toString('hex');

describe('the VHDX writer', () => {
  it('writes the structures as documented', async () => {
    const { sink } = await convert(4 * MiB, [{ offset: 2 * MiB, bytes: noise(512) }], {
      uuid: '00112233-4455-6677-8899-AABBCCDDEEFF',
    });
    expect(sink.size).toBe(6 * MiB);
    expect(hex(sink, 0, 28)).toBe(
      Buffer.from('vhdxfile').toString('hex') + Buffer.from('polyvisor\0', 'utf16le').toString('hex'),
    );
    // Signature, checksum and number; then no log in use, versions, length and place of the log.
    expect(hex(sink, 64 * KiB, 64 * KiB + 4) + hex(sink, 64 * KiB + 8, 64 * KiB + 16)).toBe('686561640100000000000000');
    expect(hex(sink, 128 * KiB + 8, 128 * KiB + 16)).toBe('0200000000000000');
    expect(hex(sink, 64 * KiB + 48, 64 * KiB + 80)).toBe('00'.repeat(16) + '0000' + '0100' + '00001000' + '0000100000000000'); // prettier-ignore
    expect(hex(sink, 192 * KiB + 8, 192 * KiB + 80)).toBe(
      '0200000000000000' +
        '6677c22d23f600429d64115e9bfd4a08' + '0000300000000000' + '00001000' + '01000000' +
        '06a27c8b90479a4bb8fe575f050f886e' + '0000200000000000' + '00001000' + '01000000', // prettier-ignore
    );
    expect(hex(sink, 192 * KiB, 256 * KiB)).toBe(hex(sink, 256 * KiB, 320 * KiB));
    expect(hex(sink, 2 * MiB, 2 * MiB + 12)).toBe(`${Buffer.from('metadata').toString('hex')}00000500`);
    expect(hex(sink, 2 * MiB + 64 * KiB, 2 * MiB + 64 * KiB + 40)).toBe(
      '0000200000000000' + '0000400000000000' + '33221100554477668899aabbccddeeff' + '00020000' + '00100000', // prettier-ignore
    );
    expect(hex(sink, 3 * MiB, 3 * MiB + 16)).toBe('0000000000000000' + '0600400000000000'); // prettier-ignore
  });

  it('writes the head of a dynamic image last', async () => {
    const { writes } = await convert(4 * MiB, [{ offset: 0, bytes: noise(4096) }]);
    expect(writes.at(-1)).toEqual({ offset: 0, length: MiB });
    expect(writes.slice(0, -1).every(({ offset }) => offset >= 2 * MiB)).toBe(true);
  });

  it('writes a fixed image from front to back, and says so', async () => {
    const pieces = [{ offset: 3 * MiB, bytes: noise(MiB) }, { offset: 9 * MiB, bytes: noise(512) }]; // prettier-ignore
    const { sink, writes, writer } = await convert(10 * MiB, pieces, { subformat: 'fixed', sparse: 'never' });
    expect(writer.order).toBe('append');
    let end = 0;
    for (const { offset, length } of writes) {
      expect(offset).toBe(end);
      end += length;
    }
    expect(end).toBe(sink.size);
    await expectReadBack(sink, 10 * MiB, pieces);
    const part = { ...sink.file(), size: 12 * MiB };
    await expect(vhdx.open(part)).rejects.toMatchObject({ code: 'vhdx-bat-place' });
  });

  it('stores every byte when the file must not have holes', async () => {
    const pieces = [{ offset: 3 * MiB, bytes: noise(4096) }];
    for (const subformat of ['dynamic', 'fixed']) {
      const options = { subformat, block: '4M' };
      const full = await convert(9 * MiB, pieces, { ...options, sparse: 'never' });
      expect(full.stored).toBe(full.sink.size);
      const holes = await convert(9 * MiB, pieces, options);
      expect(holes.stored).toBeLessThan(2 * MiB);
      expect(Buffer.compare(full.sink.bytes(), holes.sink.bytes())).toBe(0);
    }
  });

  it('joins what lies side by side in one write, and leaves out zeros inside of a block', async () => {
    const pieces = [{ offset: 1 * MiB, bytes: noise(MiB) }, { offset: 2 * MiB + 8192, bytes: noise(4096) }]; // prettier-ignore
    const { writes, sink } = await convert(64 * MiB, pieces, { block: '1M' });
    const payload = writes.filter(({ offset }) => offset >= 4 * MiB);
    expect(payload).toEqual([{ offset: 4 * MiB, length: MiB }, { offset: 5 * MiB + 8192, length: 4096 }]); // prettier-ignore
    await expectReadBack(sink, 64 * MiB, pieces);
  });

  it('rounds up to the sectors of the guest', async () => {
    const pieces = [{ offset: 0, bytes: noise(MiB + 512) }];
    const { sink, writer } = await convert(MiB + 512, pieces, { 'logical-sector': 4096 });
    expect(writer.size).toBe(MiB + 4096);
    await expectReadBack(sink, MiB + 4096, pieces);
    expect(await rulesOf(sink)).toEqual(['vhdx-logical-sector-4096']);
    expect((await convert(MiB + 512, pieces)).writer.size).toBe(MiB + 512);
  });

  it.each([1, 2, 4, 8, 16, 32, 64, 128, 256])(
    'has blocks of %i MiB, and entries for bitmaps between them',
    async (mib) => {
      // Chunks have 4 GiB: the last piece is behind the second bitmap's entry.
      const size = 8192 * MiB + 3 * MiB;
      const pieces = [0, 4096 * MiB - 8192, 4096 * MiB, 8192 * MiB + 3 * MiB - 512].map((offset, index) => ({
        offset,
        bytes: noise(512, index + 1),
      }));
      const { sink } = await convert(size, pieces, { block: mib * MiB });
      await expectReadBack(sink, size, pieces);
      expect(await rulesOf(sink)).toEqual([]);
    },
  );

  it.each<Readonly<Record<string, unknown>>>([{}, { block: '1M' }, { block: '1M', 'logical-sector': 4096 }])(
    'holds 64 TiB in little memory (%o)',
    async (options) => {
      const size = 64 * TiB;
      const pieces = [
        { offset: 0, bytes: noise(512, 1) },
        { offset: 40 * TiB + 12_288, bytes: noise(3 * MiB, 2) },
        { offset: size - 512, bytes: noise(512, 3) },
      ];
      const { sink, stored } = await convert(size, pieces, options);
      expect(stored).toBeLessThan(8 * MiB);
      await expectReadBack(sink, size, pieces);
      expect((await rulesOf(sink)).filter((rule) => rule !== 'vhdx-logical-sector-4096')).toEqual([]);
    },
  );

  it('does not grow its memory with the disk', async () => {
    const sink = memorySink();
    const writer = await vhdx.create(job(16 * TiB, sink, {}));
    expect(sink.peak).toBe(0);
    const bytes = noise(4096);
    const block = { bytes: new Uint8Array(BLOCK_SIZE), *runs() { yield { offset: 0, length: 4096 }; } }; // prettier-ignore
    block.bytes.set(bytes);
    // One block in each TiB: pages of the BAT that were left behind are written, others never.
    for (let n = 0; n < 16; n++) await writer.write({ ...block, offset: n * TiB });
    await writer.finish();
    expect(sink.peak).toBeLessThanOrEqual(MiB);
    const { facts } = await vhdx.open(sink.file());
    expect(facts).toMatchObject({ 'block size': 32 * MiB, 'blocks stored': 16 });
  });

  it.each([
    ['a block size that is no power of two', { block: '3M' }, /block/],
    ['a block size below the limit', { block: '512k' }, /block/],
    ['a block size beyond the limit', { block: '512M' }, /block/],
    ['another sector size', { 'logical-sector': 2048 }, /logical-sector/],
    ['an identity that is none', { uuid: 'x' }, /uuid/],
    ['a differencing disk', { subformat: 'differencing' }, /subformat/],
  ])('refuses %s', async (_, options, message) => {
    await expect(vhdx.create(job(MiB, memorySink(), options))).rejects.toMatchObject({
      code: 'options-invalid',
      message: expect.stringMatching(message) as string,
    });
  });

  it('stops when the device fails, whichever write it is', async () => {
    const pieces = [{ offset: 0, bytes: noise(5 * MiB) }];
    for (const subformat of ['dynamic', 'fixed']) {
      const count = (await convert(6 * MiB, pieces, { subformat })).writes.length;
      for (let failing = 0; failing < count; failing++) {
        let number = 0;
        const sink = memorySink({
          beforeWrite: () => {
            if (number++ === failing) throw new Error('EIO');
          },
        });
        await expect(write(vhdx, memoryDisk(6 * MiB, pieces), { subformat }, sink)).rejects.toThrow('EIO');
        expect(sink.size).toBeUndefined();
      }
    }
  });
});
