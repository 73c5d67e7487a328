import { noise } from '@polyvisor/testkit';

// Images for tests, made from the format's text, byte by byte, and not with the writers under test.

const MiB = 2 ** 20;

/** What a test changes, by its offset within a structure. */
export type Field = readonly [offset: number, bytes: number, value: number | bigint | string];

export function put(structure: Buffer, [offset, bytes, value]: Field): void {
  if (typeof value === 'string') structure.write(value, offset, bytes, 'latin1');
  else if (bytes === 8) structure.writeBigUInt64BE(BigInt(value), offset);
  else structure.writeUIntBE(Number(value), offset, bytes);
}

export function withSum(structure: Buffer, field: number): Buffer {
  structure.writeUInt32BE(0, field);
  const sum = structure.reduce((total, byte) => total + byte, 0);
  structure.writeUInt32BE(~sum >>> 0, field);
  return structure;
}

export function footerOf(type: number, size: number, ...changes: Field[]): Buffer {
  const footer = Buffer.alloc(512);
  const fields: Field[] = [
    [0, 8, 'conectix'],
    [8, 4, 2],
    [12, 4, 0x10000],
    [16, 8, type === 2 ? 0xffff_ffff_ffff_ffffn : 512],
    [24, 4, 86_400],
    [28, 4, 'vbox'],
    [32, 4, 0x0007_0001],
    [36, 4, 'Wi2k'],
    [40, 8, size],
    [48, 8, size],
    [56, 4, 0x003c_0411],
    [60, 4, type],
    [68, 4, 0xdeadbeef],
    [80, 4, 0x01020304],
  ];
  for (const field of [...fields, ...changes]) put(footer, field);
  return withSum(footer, 64);
}

export interface Layout {
  readonly size?: number;
  readonly blockSize?: number;
  readonly entries?: number;
  /** Sector of each block's bitmap; 0xffffffff where there is none. */
  readonly table?: readonly number[];
  readonly type?: number;
  readonly footer?: readonly Field[];
  readonly copy?: readonly Field[];
  readonly header?: readonly Field[];
  /** Where the table is. */
  readonly tableAt?: number;
  /** Length of the trailing footer. */
  readonly footerLength?: number;
  /** Put at 2048, behind the table. */
  readonly batmap?: readonly Field[];
}

/** Footer copy at 0, header at 512, table at 1536 (a sector), room for a batmap at 2048, blocks from 4096 up to `end`. */
export function dynamicImage(end: number, layout: Layout = {}): Buffer {
  const { size = 4 * MiB, blockSize = 2 * MiB, type = 3, tableAt = 1536 } = layout;
  const entries = layout.entries ?? Math.ceil(size / blockSize);
  const image = Buffer.alloc(end + (layout.footerLength ?? 512));
  const changes = layout.footer ?? [];
  footerOf(type, size, ...changes, ...(layout.copy ?? [])).copy(image, 0);
  const header = image.subarray(512, 1536);
  const fields: Field[] = [
    [0, 8, 'cxsparse'],
    [8, 8, 0xffff_ffff_ffff_ffffn],
    [16, 8, tableAt],
    [24, 4, 0x10000],
    [28, 4, entries],
    [32, 4, blockSize],
  ];
  for (const field of [...fields, ...(layout.header ?? [])]) put(header, field);
  withSum(header, 36);
  image.fill(0xff, tableAt, tableAt + 512);
  layout.table?.forEach((sector, index) => image.writeUInt32BE(sector, tableAt + index * 4));
  if (layout.batmap !== undefined) {
    for (const field of layout.batmap) put(image.subarray(2048, 2560), field);
  }
  footerOf(type, size, ...changes).copy(image, end);
  return image;
}

/** Two blocks of 2 MiB, the second one first; every sector present. */
export function swappedBlocks(layout: Layout = {}): { image: Buffer; disk: Uint8Array } {
  const stride = 512 + 2 * MiB;
  const image = dynamicImage(4096 + 2 * stride, { table: [(4096 + stride) / 512, 4096 / 512], ...layout });
  const disk = noise(4 * MiB, 5);
  for (const [index, start] of [4096 + stride, 4096].entries()) {
    image.fill(0xff, start, start + 512);
    image.set(disk.subarray(index * 2 * MiB, (index + 1) * 2 * MiB), start + 512);
  }
  return { image, disk };
}

/** The header's fields of a parent: its unique id's first four bytes, its name, and locators whose text is put at `place`. */
export interface Parent {
  readonly id?: number;
  readonly name?: string;
  readonly locators?: readonly { readonly code: string | number; readonly text: Buffer; readonly place: number }[];
}

export function parentFields({ id = 0xdeadbeef, name = 'base.vhd', locators = [] }: Parent): Field[] {
  return [
    [40, 4, id],
    [52, 4, id === 0 ? 0 : 0x01020304],
    [64, 512, Buffer.from(`${name}\0`, 'utf16le').swap16().toString('latin1')],
    ...locators.flatMap(({ code, text, place }, index): Field[] => {
      const at = 576 + index * 24;
      return [
        [at, 4, code],
        [at + 4, 4, 512],
        [at + 8, 4, text.length],
        [at + 16, 8, place],
      ];
    }),
  ];
}

/** A child of `swappedBlocks`, of the same size unless told otherwise, with its first block stored and `bits` as its bitmap. */
export function childImage(bits: (sector: number) => boolean, parent: Parent = {}, layout: Layout = {}) {
  const image = dynamicImage(4096 + 512 + 2 * MiB, {
    type: 4,
    table: [8, 0xffff_ffff],
    ...layout,
    footer: [[68, 4, 0xc0ffee00], ...(layout.footer ?? [])],
    header: [...parentFields(parent), ...(layout.header ?? [])],
  });
  for (const { text, place } of parent.locators ?? []) image.set(text, place);
  const data = noise(2 * MiB, 77);
  for (let sector = 0; sector < 4096; sector++) {
    const at = 4096 + (sector >> 3);
    if (bits(sector)) image[at] = (image[at] ?? 0) | (0x80 >> (sector & 7));
  }
  image.set(data, 4608);
  return { image, data };
}
