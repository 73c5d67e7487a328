import { memoryFile, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import {
  AT,
  encodeEntry,
  putEntry,
  type SampleChange,
  type SampleEntry,
  sampleImage,
  sealed,
  withLog,
} from './sample-image.js';
import { vhdx } from './vhdx.js';

const MiB = 2 ** 20;

/** The first page of a BAT with these entries. */
function batPage(entries: readonly (readonly [state: number, mib: number])[]): Buffer {
  const image = Buffer.alloc(AT.bat + 4096);
  entries.forEach(([state, mib], index) => putEntry(image, index, state, mib));
  return image.subarray(AT.bat);
}

/** A sample whose BAT is empty in the file: what the disk holds, only the log knows. */
function unwritten(mib = 6): Buffer {
  const image = sampleImage({ bat: [], mib });
  image.set(noise((mib - 4) * MiB, 31), 4 * MiB);
  return image;
}

const entry = (sequence: number, position: number, tail: number, ...changes: SampleChange[]): SampleEntry => ({
  sequence,
  position,
  tail,
  changes,
});

const first: SampleChange = { offset: AT.bat, page: batPage([[6, 4]]) };
const second: SampleChange = { offset: AT.bat, page: batPage([[6, 4], [6, 5]]) }; // prettier-ignore

/** Opens and reads the four blocks: for each which MiB of the file it shows, 0 for zeros. */
async function blocksOf(image: Buffer): Promise<readonly number[]> {
  const before = Buffer.from(image);
  const { disk, warnings } = await vhdx.open(memoryFile(image));
  expect(warnings).toEqual([expect.stringMatching(/not closed/)]);
  const whole = Buffer.alloc(disk.size, 0xaa);
  await disk.read(whole, 0);
  expect(image.equals(before)).toBe(true);
  return [0, 1, 2, 3].map((block) => {
    const bytes = whole.subarray(block * MiB, (block + 1) * MiB);
    const found = [4, 5].find((mib) => bytes.equals(image.subarray(mib * MiB, (mib + 1) * MiB)));
    if (found === undefined) expect(bytes.equals(Buffer.alloc(MiB))).toBe(true);
    return found ?? 0;
  });
}

describe('replaying the log', () => {
  it('applies entries in their order, and leaves the file as it is', async () => {
    const image = withLog(unwritten(), [entry(5, 0, 0, first), entry(6, 8192, 0, second)]);
    expect(await blocksOf(image)).toEqual([4, 5, 0, 0]);
  });

  it('starts at the tail that the last entry names', async () => {
    // Entry 5 would bring the second block, which was taken back in the file after it had been flushed.
    const image = withLog(unwritten(), [entry(5, 0, 0, second), entry(6, 8192, 8192, { offset: 2 * MiB + 4096, zeros: 4096 })]); // prettier-ignore
    expect(await blocksOf(image)).toEqual([0, 0, 0, 0]);
  });

  it('goes round the end of the ring, in the middle of an entry too', async () => {
    const position = MiB - 4096;
    const image = withLog(unwritten(), [entry(5, position, position, first), entry(6, 4096, position, second)]);
    expect(await blocksOf(image)).toEqual([4, 5, 0, 0]);
  });

  it('restores the bytes that a data sector has no room for', async () => {
    const page = Buffer.from(noise(4096, 33));
    const image = withLog(sampleImage(), [entry(5, 0, 0, { offset: 5 * MiB, page })]);
    const { disk } = await vhdx.open(memoryFile(image));
    const read = Buffer.alloc(4097);
    await disk.read(read, 0);
    expect(read.equals(Buffer.concat([page, Buffer.alloc(1)]))).toBe(true);
    const middle = Buffer.alloc(10);
    await disk.read(middle, 4090);
    expect(middle.equals(Buffer.concat([page.subarray(4090), Buffer.alloc(4)]))).toBe(true);
  });

  it('lets the later change win, zeros over data and data over zeros', async () => {
    const zeros: SampleChange = { offset: AT.bat, zeros: 8192 };
    expect(await blocksOf(withLog(unwritten(), [entry(5, 0, 0, second, zeros)]))).toEqual([0, 0, 0, 0]);
    expect(await blocksOf(withLog(unwritten(), [entry(5, 0, 0, zeros, second)]))).toEqual([4, 5, 0, 0]);
    const both = [entry(5, 0, 0, zeros, second), entry(6, 8192, 0, zeros), entry(7, 12_288, 0, first)];
    expect(await blocksOf(withLog(unwritten(), both))).toEqual([4, 0, 0, 0]);
  });

  it('has all of its changes in the extents', async () => {
    const image = withLog(sampleImage({ bat: [[6, 4]] }), [entry(5, 0, 0, { offset: 4 * MiB + 8192, page: Buffer.from(noise(4096)) })]); // prettier-ignore
    const file = memoryFile(image);
    // A file that says there is nothing but tables and log.
    const sparse = { ...file, async *extents() { await Promise.resolve(); yield { offset: 0, length: 4 * MiB }; } }; // prettier-ignore
    const { disk } = await vhdx.open(sparse);
    const extents = [];
    for await (const extent of disk.extents()) extents.push(extent);
    expect(extents).toEqual([{ offset: 8192, length: 4096 }]);
  });

  it('ignores what was torn or is old, and takes the newest unbroken sequence', async () => {
    const torn = withLog(unwritten(), [entry(5, 0, 0, first), entry(6, 8192, 0, second)]);
    torn.writeUInt8(torn.readUInt8(AT.log + 8192 + 5000) ^ 1, AT.log + 8192 + 5000);
    expect(await blocksOf(torn)).toEqual([4, 0, 0, 0]);
    const old = withLog(unwritten(), [
      { ...entry(99, 0, 0, second), guid: '00000000-0000-4000-8000-000000000001' }, // of another time
      entry(3, 16_384, 16_384, second),
      entry(7, 65_536, 65_536, first), // 3 is not followed by 7
    ]);
    expect(await blocksOf(old)).toEqual([4, 0, 0, 0]);
  });

  it('takes a file as longer when its new end was not flushed', async () => {
    const image = withLog(unwritten(5), [{ ...entry(5, 0, 0, second), last: 5 * MiB + 1 }]);
    const { disk } = await vhdx.open(memoryFile(image));
    const read = Buffer.alloc(2 * MiB, 0xaa);
    await disk.read(read, 0);
    expect(read.equals(Buffer.concat([image.subarray(4 * MiB, 5 * MiB), Buffer.alloc(MiB)]))).toBe(true);
  });

  it('takes an entry without changes, as Hyper-V leaves one', async () => {
    expect(await blocksOf(withLog(sampleImageOf(), [entry(5, 0, 0)]))).toEqual([4, 0, 0, 0]);
  });

  it('replays more descriptors than fit beside the header', async () => {
    const many = Array.from({ length: 300 }, (_, index): SampleChange => ({
      offset: 4 * MiB + 8192 * (index % 128),
      zeros: 4096,
    }));
    const image = withLog(unwritten(), [entry(5, 4096, 4096, ...many, second)]);
    const { disk } = await vhdx.open(memoryFile(image));
    const expected = Buffer.from(image.subarray(4 * MiB, 6 * MiB));
    for (let at = 0; at < MiB; at += 8192) expected.fill(0, at, at + 4096);
    const read = Buffer.alloc(2 * MiB);
    await disk.read(read, 0);
    expect(read.equals(expected)).toBe(true);
  });
});

function sampleImageOf(): Buffer {
  const image = sampleImage({ bat: [[6, 4]], mib: 5 });
  image.set(noise(MiB, 31), 4 * MiB);
  return image;
}

describe('a log that cannot be replayed is refused', () => {
  const code = (image: Buffer) =>
    vhdx.open(memoryFile(image, 'evil.vhdx')).then(
      () => 'opened',
      (error: unknown) => {
        expect(error).toMatchObject({ file: 'evil.vhdx', offset: expect.any(Number) as number });
        return (error as { code: string }).code;
      },
    );
  const page = Buffer.alloc(4096, 1);

  it('when it has no valid entry', async () => {
    expect(await code(withLog(sampleImage(), []))).toBe('vhdx-log-lost');
    const mutations: Record<string, (image: Buffer) => void> = {
      'no signature': (image) => image.writeUInt8(0, AT.log),
      'checksum': (image) => image.writeUInt8(image.readUInt8(AT.log + 4) ^ 1, AT.log + 4), // prettier-ignore
      'changed data': (image) => image.writeUInt8(7, AT.log + 5000),
    };
    for (const [name, mutate] of Object.entries(mutations)) {
      const image = withLog(sampleImage(), [entry(5, 0, 0, first)]);
      mutate(image);
      expect([name, await code(image)]).toEqual([name, 'vhdx-log-lost']);
    }
  });

  // What follows has a right checksum, so that only the rule named is broken.
  it.each<[string, (bytes: Buffer) => void]>([
    ['a length that is no multiple of 4 KiB', (bytes) => bytes.writeUInt32LE(8191, 8)],
    ['a length of nothing', (bytes) => bytes.writeUInt32LE(0, 8)],
    ['a length beyond the log', (bytes) => bytes.writeUInt32LE(2 * MiB, 8)],
    ['a tail that is no multiple of 4 KiB', (bytes) => bytes.writeUInt32LE(1, 12)],
    ['a tail beyond the log', (bytes) => bytes.writeUInt32LE(MiB, 12)],
    ['a tail outside of its sequence', (bytes) => bytes.writeUInt32LE(4096, 12)],
    ['sequence number 0', (bytes) => bytes.writeUInt32LE(0, 16)],
    ['more descriptors than it has room for', (bytes) => bytes.writeUInt32LE(0xffffffff, 24)],
    ['a descriptor without signature', (bytes) => bytes.writeUInt8(0, 64)],
    ['a descriptor of another entry', (bytes) => bytes.writeUInt32LE(4, 88)],
    ['a change that is no multiple of 4 KiB', (bytes) => bytes.writeUInt32LE(AT.bat + 512, 80)],
    ['a data sector without signature', (bytes) => bytes.writeUInt8(0, 4096)],
    ['a data sector of another entry', (bytes) => bytes.writeUInt32LE(4, 4096 + 4092)],
    ['a data sector of another entry, by its high half', (bytes) => bytes.writeUInt32LE(4, 4096 + 4)],
  ])('when its only entry has %s', async (_, mutate) => {
    const image = withLog(sampleImage(), []);
    const bytes = encodeEntry(entry(5, 0, 0, first), image.length);
    mutate(bytes);
    bytes.writeUInt32LE(sumOf(bytes), 4);
    bytes.copy(image, AT.log);
    expect(await code(image)).toBe('vhdx-log-lost');
  });

  it('when a range of zeros is no multiple of 4 KiB', async () => {
    expect(await code(withLog(sampleImage(), [entry(5, 0, 0, { offset: 4 * MiB, zeros: 512 })]))).toBe('vhdx-log-lost');
  });

  it.each<[string, SampleChange]>([
    ['the identifier', { offset: 0, page }],
    ['a header', { offset: AT.header2, page }],
    ['the log', { offset: AT.log + 8192, page }],
    ['what lies behind the end', { offset: 6 * MiB, page }],
    ['what lies behind all ends', { offset: 2n ** 64n - 4096n, page }],
    ['all of the file, with zeros', { offset: 0, zeros: 2n ** 64n - 4096n }],
    ['the log, with zeros around it', { offset: AT.table1, zeros: 2 * MiB }],
    ['terabytes, with zeros', { offset: 4 * MiB, zeros: 2n ** 42n }],
  ])('when it would change %s', async (_, change) => {
    expect(await code(withLog(sampleImage(), [entry(5, 0, 0, change)]))).toBe('vhdx-log-target');
  });

  it('when the file has lost its end', async () => {
    const cut = (last: Partial<SampleEntry>) => code(withLog(sampleImage(), [{ ...entry(5, 0, 0, first), ...last }]));
    expect(await cut({ flushed: 6 * MiB + 1 })).toBe('vhdx-log-truncated');
    expect(await cut({ last: 2n ** 63n })).toBe('vhdx-log-truncated');
  });

  it('when each of its entries claims all of it', async () => {
    const image = withLog(sampleImage(), []);
    const claims = encodeEntry(entry(5, 0, 0), image.length);
    claims.writeUInt32LE(MiB, 8);
    for (let at = 0; at < MiB; at += 4096) claims.copy(image, AT.log + at);
    expect(await code(image)).toBe('vhdx-log-size');
  });

  it('when it is outside of the file, or in its head', async () => {
    for (const [length, offset] of [
      [MiB, 6 * MiB],
      [MiB, 0],
      [MiB, 512],
      [4096, MiB],
      [0xfff00000, MiB],
    ] as const) {
      // prettier-ignore
      const image = sampleImage();
      for (const at of [AT.header1, AT.header2]) {
        image.writeUInt32LE(length, at + 68);
        image.writeUInt32LE(offset, at + 72);
      }
      expect(await code(sealed(image))).toBe('vhdx-log-place');
    }
  });
});

/** CRC-32C of an entry, bit by bit. */
function sumOf(bytes: Buffer): number {
  let sum = ~0;
  bytes.forEach((byte, at) => {
    sum ^= at >= 4 && at < 8 ? 0 : byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0x82f63b78 : 0);
  });
  return ~sum >>> 0;
}
