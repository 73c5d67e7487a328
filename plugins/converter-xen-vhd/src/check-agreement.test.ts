import { type DiskWriter, pump, UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { memoryDisk, memoryFile, memorySink, noise, write } from '@polyvisor/testkit';
import { createFixedVhd, DynamicVhdWriter } from '@polyvisor/vhd';
import { expect, it } from 'vitest';
import { complaintsAbout, NOW, sum } from './vhd-util-check.test-support.js';
import { xenVhd } from './xen-vhd.js';

// `check --for xenserver` and the rules of vhd-util, written twice, must agree on every file: sound ones with any one field
// changed, in either footer or both, with the checksums made right afterwards and without.

const MiB = 2 ** 20;
const { signal } = new AbortController();

const stamp = {
  creatorApplication: 'win ',
  creatorVersion: 0x000a_0000,
  creatorHostOs: 'Wi2k',
  time: UNIX_SECONDS_OF_2000 + NOW,
  uuid: '01020304-0506-8708-890a-0b0c0d0e0f10',
};

const data = memoryDisk(6 * MiB, [
  { offset: 0, bytes: noise(64 * 1024, 1) },
  { offset: 4 * MiB, bytes: noise(4096, 2) },
]);

async function written(make: (sink: ReturnType<typeof memorySink>) => DiskWriter): Promise<Buffer> {
  const sink = memorySink();
  const writer = make(sink);
  await pump(data, [writer], { signal });
  await writer.finish();
  return Buffer.from(sink.bytes());
}

const dynamic = (size = 6 * MiB) =>
  written((sink) => new DynamicVhdWriter({ sink, size, stamp, sparse: true, batmap: false, signal }));

/** A child with a locator of each kind that blktap follows, in the room behind the table. */
async function differencing(): Promise<Buffer> {
  const image = await dynamic();
  for (const footer of [image.subarray(0, 512), image.subarray(-512)]) footer.writeUInt32BE(4, 60);
  const header = image.subarray(512, 1536);
  header.fill(0x5a, 40, 56);
  header.writeUInt32BE(NOW, 56);
  Buffer.from('base.vhd', 'utf16le').swap16().copy(header, 64);
  const texts = [
    ['MacX', Buffer.from('file:///images/base.vhd')],
    ['W2ku', Buffer.from('C:\\images\\base.vhd', 'utf16le')],
    ['W2ru', Buffer.from('.\\base.vhd', 'utf16le')],
  ] as const;
  for (const [index, [code, text]] of texts.entries()) {
    const at = 576 + index * 24;
    header.write(code, at, 'latin1');
    header.writeUInt32BE(512, at + 4);
    header.writeUInt32BE(text.length, at + 8);
    header.writeBigUInt64BE(BigInt(2048 + index * 512), at + 16);
    text.copy(image, 2048 + index * 512);
  }
  sumUp(image, ['start', 'end', 'header']);
  return image;
}

/** The largest sector numbers wrap around where blktap adds a block to them; whether that is seen depends on the others. */
async function oneBlock(): Promise<Buffer> {
  const image = await dynamic();
  image.writeUInt32BE(0xffff_ffff, 1536);
  return image;
}

async function early(version: number): Promise<Buffer> {
  const image = Buffer.from((await write(xenVhd, data, {})).sink.bytes());
  for (const footer of [image.subarray(0, 512), image.subarray(-512)]) footer.writeUInt32BE(version, 32);
  sumUp(image, ['start', 'end']);
  return image;
}

const images: Readonly<Record<string, () => Promise<Buffer>>> = {
  'with a batmap': async () => Buffer.from((await write(xenVhd, data, {})).sink.bytes()),
  'by blktap 1.1': () => early(0x10001),
  'without a batmap': () => dynamic(),
  'of an odd size': () => dynamic(5 * MiB + 512),
  'with one block': oneBlock,
  differencing,
  fixed: () => written((sink) => createFixedVhd({ sink, size: 6 * MiB, stamp, sparse: true, signal })),
  'with a short footer': async () => (await dynamic()).subarray(0, -1),
};

/** Offset and length of each field. */
type Fields = readonly (readonly [offset: number, length: number])[];

const footerFields: Fields = [
  [0, 8], [8, 4], [12, 4], [16, 8], [24, 4], [28, 4], [32, 4], [36, 4], [40, 8], [48, 8], [56, 2], [58, 1], [59, 1],
  [60, 4], [64, 4], [68, 4], [84, 1], [85, 1], [86, 1], [87, 1], [300, 4], [508, 3],
]; // prettier-ignore
const locatorFields = [0, 1, 2, 3, 7].flatMap((index) =>
  [[0, 4], [3, 1], [4, 4], [8, 4], [12, 4], [16, 8]].map(([at, length]) => [576 + index * 24 + (at ?? 0), length ?? 0] as const),
); // prettier-ignore
const headerFields: Fields = [
  [0, 8], [8, 8], [16, 8], [24, 4], [28, 4], [32, 4], [36, 4], [40, 4], [56, 4], [60, 4], [64, 1], [64, 2], [66, 2], [70, 2],
  [200, 2], [768, 1], [769, 1], [1020, 4], ...locatorFields,
]; // prettier-ignore
/** The table at 1536, and behind it the batmap's header and map, or the texts of locators. */
const tableFields: Fields = [
  [1536, 4], [1540, 4], [1544, 4], [1548, 4], [2040, 4], [2048, 8], [2056, 8], [2064, 4], [2068, 4], [2072, 4], [2076, 1],
  [2077, 1], [2048, 1], [2560, 1], [2561, 1], [2600, 2], [3000, 4], [3072, 2],
]; // prettier-ignore

function* valuesOf(bytes: Buffer, seed: number): Generator<Buffer> {
  const { length } = bytes;
  const number = BigInt(`0x${bytes.toString('hex')}`);
  const limit = 1n << BigInt(length * 8);
  const random = new DataView(noise(32, seed).buffer).getBigUint64(8);
  const numbers = [
    0n, 1n, 2n, 4n, number + 1n, number - 1n, number + 512n, number * 2n, limit - 1n,
    limit / 2n, limit - 4096n, 0x10001n, 0x10002n, 0x10004n, 0x200000n, 0x400000n, BigInt(NOW + 1801),
    0x57327275n, 0x4d616358n, 4097n, 4103n, number ^ (1n << (random % BigInt(length * 8))), random,
  ]; // prettier-ignore
  const seen = new Set<bigint>([number]);
  for (const candidate of numbers) {
    const value = BigInt.asUintN(length * 8, candidate);
    if (seen.has(value)) continue;
    seen.add(value);
    yield Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex');
  }
}

type Sum = 'start' | 'end' | 'header' | 'batmap';

function sumUp(image: Buffer, which: readonly Sum[]): void {
  const end = image.length - (image.length % 512 === 511 ? 511 : 512);
  for (const name of which) {
    if (name === 'batmap') {
      if (image.toString('latin1', 2048, 2056) === 'tdbatmap')
        image.writeUInt32BE(sum(image.subarray(2560, 3072)), 2048 + 24);
      continue;
    }
    const at = name === 'start' ? 0 : name === 'end' ? end : 512;
    const length = name === 'header' ? 1024 : 512;
    const field = name === 'header' ? 36 : 64;
    const structure = image.subarray(at, at + length);
    structure.writeUInt32BE(sum(structure, field), field);
  }
}

interface Mutation {
  readonly at: readonly number[];
  readonly length: number;
  readonly sums: readonly Sum[];
}

function* mutationsOf(image: Buffer): Generator<Mutation> {
  const end = image.length - (image.length % 512 === 511 ? 511 : 512);
  for (const [offset, length] of footerFields) {
    for (const at of [[offset, end + offset], [end + offset], [offset]]) {
      yield { at, length, sums: [] };
      if (offset !== 64) yield { at, length, sums: ['start', 'end'] };
    }
  }
  if (image.readUInt8(end + 63) === 2) return; // a fixed disk has no more
  for (const [offset, length] of headerFields) {
    yield { at: [512 + offset], length, sums: [] };
    if (offset !== 36) yield { at: [512 + offset], length, sums: ['header'] };
  }
  for (const [offset, length] of tableFields) {
    yield { at: [offset], length, sums: [] };
    if (offset >= 2560) yield { at: [offset], length, sums: ['batmap'] };
  }
}

/** Whether vhd-util refuses the file, and what the two say when they do not agree. */
async function verdicts(image: Buffer): Promise<{ refused: boolean; disagreement?: string }> {
  const file = memoryFile(image);
  const complaints = await complaintsAbout(file, { data: false });
  const refusals: string[] = [];
  const now = UNIX_SECONDS_OF_2000 + NOW;
  for await (const found of xenVhd.check?.(file, { signal, consumer: 'xenserver', now }) ?? []) {
    if (found.refusedBy.includes('xenserver')) refusals.push(found.rule);
  }
  const refused = complaints.length > 0;
  if (refused === refusals.length > 0) return { refused };
  return { refused, disagreement: `vhd-util: ${JSON.stringify(complaints)}, check: ${JSON.stringify(refusals)}` };
}

it.each(Object.keys(images))('check agrees with vhd-util on a disk %s, whatever is changed', async (name) => {
  const image = (await images[name]?.()) ?? Buffer.alloc(0);
  const sound = Buffer.from(image);
  expect(await verdicts(image)).toEqual({ refused: false });
  const wrong: string[] = [];
  let count = 0;
  let refused = 0;
  for (const { at, length, sums } of mutationsOf(image)) {
    const first = at[0] ?? 0;
    for (const value of valuesOf(image.subarray(first, first + length), first + count)) {
      for (const place of at) value.copy(image, place);
      sumUp(image, sums);
      const verdict = await verdicts(image);
      if (verdict.refused) refused++;
      if (verdict.disagreement !== undefined)
        wrong.push(`${length} bytes at ${at.join(' and ')} are ${value.toString('hex')}: ${verdict.disagreement}`);
      // Everything that a mutation touches lies in the first and the last sectors.
      sound.copy(image, 0, 0, 8192);
      sound.copy(image, image.length - 1024, sound.length - 1024);
      count++;
    }
  }
  expect(wrong).toEqual([]);
  // Neither side says always the same.
  expect(count).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(count / 4);
  expect(refused).toBeLessThan(count);
});

it('check agrees with vhd-util on files that were cut or prolonged', async () => {
  for (const make of Object.values(images)) {
    const image = await make();
    for (const length of [
      0,
      1,
      511,
      512,
      1024,
      1536,
      2048,
      4096,
      image.length - 512,
      image.length - 511,
      image.length - 1,
    ]) {
      expect((await verdicts(image.subarray(0, length))).disagreement).toBeUndefined();
    }
    for (const more of [1, 100, 511, 512]) {
      expect((await verdicts(Buffer.concat([image, Buffer.alloc(more)]))).disagreement).toBeUndefined();
      expect(
        (await verdicts(Buffer.concat([image.subarray(0, -512), Buffer.alloc(more), image.subarray(-512)])))
          .disagreement,
      ).toBeUndefined();
    }
  }
});
