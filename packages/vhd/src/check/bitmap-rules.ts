import { type Finding, type ImageFile, isZero } from '@polyvisor/core';
import { NOT_ALLOCATED, SECTOR, bitmapSectors } from '../layout.js';
import { readAt } from '../read-at.js';
import { finding } from './rule.js';

export interface BitmapSubject {
  readonly file: ImageFile;
  /** Entries of blocks that lie inside the file. */
  readonly table: Buffer;
  readonly blockSize: number;
  readonly size: number;
  readonly leastFirst: boolean;
  readonly signal: AbortSignal;
}

/** Bitmaps that are read at once. */
const BATCH = 16;

/** Data that is read at once, in bytes. */
const CHUNK = 256 * 1024;

/**
 * 28, which vhd-util looks at only when asked to (`-b`): data in a sector that the bitmap lacks is a zero to those who honour
 * bitmaps, and data to QEMU, which does not. Bitmaps are read of all blocks, data only where a bit is clear.
 */
export async function* checkBitmaps(subject: BitmapSubject): AsyncGenerator<Finding> {
  const { file, table, blockSize, size, leastFirst, signal } = subject;
  const length = bitmapSectors(blockSize) * SECTOR;
  const bytes = Math.ceil(blockSize / SECTOR / 8);
  const full = Buffer.alloc(bytes, 0xff);
  let batch: number[] = [];
  for (let index = 0; index * 4 < table.length; index++) {
    if (table.readUInt32BE(index * 4) !== NOT_ALLOCATED) batch.push(index);
    if (batch.length < BATCH && (index + 1) * 4 < table.length) continue;
    signal.throwIfAborted();
    const bitmaps = await Promise.all(
      batch.map((block) => readAt(file, table.readUInt32BE(block * 4) * SECTOR, bytes)),
    );
    for (const [order, block] of batch.entries()) {
      const bitmap = bitmaps[order] ?? full;
      if (bitmap.equals(full)) continue;
      const data = table.readUInt32BE(block * 4) * SECTOR + length;
      const sectors = Math.min(blockSize, size - block * blockSize) / SECTOR;
      const at = await findHiddenData(file, bitmap, data, sectors, leastFirst, signal);
      if (at === undefined) continue;
      yield finding(
        {
          rule: 'bitmap-data',
          severity: 'warning',
          message: 'there is data in a sector that the bitmap of its block lacks: QEMU shows it, others show zeros',
          refusedBy: [],
          hint: 'convert the disk; what others show is kept',
        },
        { offset: at, expected: 'zeros', found: `data in block ${block}` },
      );
      return; // one such sector tells all
    }
    batch = [];
  }
}

/** Where the first byte of a sector is that has data and no bit; undefined when there is none. */
async function findHiddenData(
  file: ImageFile,
  bitmap: Buffer,
  data: number,
  sectors: number,
  leastFirst: boolean,
  signal: AbortSignal,
): Promise<number | undefined> {
  const present = (sector: number) =>
    ((bitmap[sector >> 3] ?? 0) & (leastFirst ? 1 << (sector & 7) : 0x80 >> (sector & 7))) !== 0;
  for (let sector = 0; sector < sectors; sector++) {
    if (present(sector)) continue;
    let end = sector + 1;
    while (end < sectors && !present(end) && (end - sector) * SECTOR < CHUNK) end++;
    signal.throwIfAborted();
    const bytes = await readAt(file, data + sector * SECTOR, (end - sector) * SECTOR);
    if (!isZero(bytes)) return data + sector * SECTOR + bytes.findIndex((byte) => byte !== 0);
    sector = end - 1;
  }
  return undefined;
}
