import type { Random } from './random.js';

/** Longest input, in bytes: a small image of every format fits, and copying one costs a millisecond. */
export const MAX_INPUT = 8 * 1024 * 1024;

const SECTOR = 512;

/** Values at the edges of fields, and at the edges of what a careless reader computes from them. */
const EDGES = [
  0n,
  1n,
  2n,
  7n,
  8n,
  511n,
  512n,
  513n,
  4095n,
  4096n,
  0xffffn,
  0x1_0000n,
  0x10_0000n,
  0x20_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 62n) - 512n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

type Mutation = (bytes: Uint8Array, random: Random, others: readonly Uint8Array[]) => Uint8Array;

/** A changed copy of an input: one to sixteen mutations on top of each other, most often few. */
export function mutate(input: Uint8Array, random: Random, others: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(input); // a copy, whatever it is; the slice of a Buffer would be a view
  const count = 1 + random.below(1 << random.below(5));
  for (let done = 0; done < count; done++) bytes = random.pick(MUTATIONS)(bytes, random, others);
  return bytes.length <= MAX_INPUT ? bytes : bytes.slice(0, MAX_INPUT);
}

const flipBit: Mutation = (bytes, random) => {
  const at = place(bytes, random);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  return bytes;
};

const setByte: Mutation = (bytes, random) => {
  bytes[place(bytes, random)] = random.below(256);
  return bytes;
};

/** A number at the edge of something, or one more or less than what is there, in a field of 2, 4 or 8 bytes. */
const setField: Mutation = (bytes, random) => {
  const width = random.pick([2, 4, 4, 8, 8] as const);
  const at = Math.floor(place(bytes, random) / width) * width;
  if (at + width > bytes.length) return bytes;
  const little = random.below(2) === 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, width);
  const present = readField(view, width, little);
  const value = random.pick([
    random.pick(EDGES),
    present + 1n,
    present - 1n,
    present << BigInt(random.below(12)),
    present >> BigInt(random.below(12)),
    BigInt(bytes.length),
    BigInt(Math.floor(bytes.length / SECTOR)),
    BigInt(random.below(Math.max(1, bytes.length))),
  ]);
  writeField(view, width, little, value);
  return bytes;
};

/** One field's value written over another one: two tables at one place, a count where an offset belongs. */
const copyField: Mutation = (bytes, random) => {
  const width = random.pick([2, 4, 8, 16] as const);
  const from = Math.floor(place(bytes, random) / width) * width;
  const to = Math.floor(place(bytes, random) / width) * width;
  if (Math.max(from, to) + width <= bytes.length) bytes.copyWithin(to, from, from + width);
  return bytes;
};

const fillSectors: Mutation = (bytes, random) => {
  const start = Math.floor(place(bytes, random) / SECTOR) * SECTOR;
  bytes.fill(random.pick([0, 0xff, 1]), start, start + SECTOR * (1 + random.below(4)));
  return bytes;
};

const copySectors: Mutation = (bytes, random) => {
  const from = Math.floor(place(bytes, random) / SECTOR) * SECTOR;
  const to = Math.floor(place(bytes, random) / SECTOR) * SECTOR;
  bytes.copyWithin(to, from, from + SECTOR * (1 + random.below(8)));
  return bytes;
};

const truncate: Mutation = (bytes, random) =>
  bytes.slice(
    0,
    random.below(2) === 0 ? random.below(bytes.length + 1) : Math.floor(place(bytes, random) / SECTOR) * SECTOR,
  );

const extend: Mutation = (bytes, random) => {
  const longer = new Uint8Array(bytes.length + random.pick([1, 511, 512, 1024, 65_536]));
  longer.set(bytes);
  return longer;
};

const removeSector: Mutation = (bytes, random) => {
  const at = Math.floor(place(bytes, random) / SECTOR) * SECTOR;
  const shorter = new Uint8Array(Math.max(0, bytes.length - SECTOR));
  shorter.set(bytes.subarray(0, Math.min(at, shorter.length)));
  if (at < shorter.length) shorter.set(bytes.subarray(at + SECTOR), at);
  return shorter;
};

/** The head of this one and the tail of another one. */
const splice: Mutation = (bytes, random, others) => {
  const other = random.pick(others);
  const at = Math.floor(place(bytes, random) / SECTOR) * SECTOR;
  const joined = bytes.slice(0, Math.max(at, other.length));
  const whole = new Uint8Array(Math.max(joined.length, other.length));
  whole.set(joined.subarray(0, at));
  if (at < other.length) whole.set(other.subarray(at), at);
  return whole;
};

/** Digits and letters of a text header: a descriptor, XML, the octal numbers of tar. */
const setText: Mutation = (bytes, random) => {
  const at = place(bytes, random);
  const text = random.pick([
    '0',
    '9',
    '99999999',
    '-1',
    '"',
    '/',
    '..',
    '\n',
    '\0',
    '<',
    '&x;',
    '%',
    'FLAT',
    'SPARSE',
    'ZERO',
    '../x',
    '7777777',
  ]);
  bytes.set(new TextEncoder().encode(text).subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
  return bytes;
};

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  setByte,
  setField,
  setField,
  setField,
  setField,
  copyField,
  fillSectors,
  copySectors,
  truncate,
  extend,
  removeSector,
  splice,
  setText,
];

/** Where something is: tables are at either end of a file far more often than in the middle of it, and seldom in zeros. */
function place(bytes: Uint8Array, random: Random): number {
  if (bytes.length === 0) return 0;
  let at = 0;
  for (let attempt = 0; attempt < 3; attempt++) {
    const near = Math.min(bytes.length, random.pick([512, 4096, 65_536]));
    const kind = random.below(4);
    at =
      kind < 2 ? random.below(near) : kind === 2 ? bytes.length - 1 - random.below(near) : random.below(bytes.length);
    if (bytes[at] !== 0) return at;
  }
  return at;
}

function readField(view: DataView, width: 2 | 4 | 8, little: boolean): bigint {
  if (width === 2) return BigInt(view.getUint16(0, little));
  return width === 4 ? BigInt(view.getUint32(0, little)) : view.getBigUint64(0, little);
}

function writeField(view: DataView, width: 2 | 4 | 8, little: boolean, value: bigint): void {
  const cut = BigInt.asUintN(width * 8, value);
  if (width === 2) view.setUint16(0, Number(cut), little);
  else if (width === 4) view.setUint32(0, Number(cut), little);
  else view.setBigUint64(0, cut, little);
}
