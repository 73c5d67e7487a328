import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import type { QmpClient } from './qmp.js';

/** Largest picture accepted from QEMU, in pixels; a VGA screen has 64 million at most. */
const MOST_PIXELS = 64 * 2 ** 20;

/**
 * Turns QEMU's screen dump (binary PPM: `P6`, width, height, 255, then red, green, blue) into PNG. QEMU writes PNG itself
 * only since 7.1 and only where it was built with libpng.
 */
export function ppmToPng(ppm: Buffer): Buffer {
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(ppm.subarray(0, 64).toString('latin1'));
  const width = Number(header?.[1]);
  const height = Number(header?.[2]);
  if (header === null || width * height > MOST_PIXELS || width * height === 0)
    throw new Error('the screen dump is not a PPM picture');
  const pixels = ppm.subarray(header[0].length, header[0].length + width * height * 3);
  if (pixels.length < width * height * 3) throw new Error('the screen dump ends too early');
  // Each row starts with the number of its filter, 0 for none (PNG §9).
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let row = 0; row < height; row++)
    pixels.copy(rows, row * (width * 3 + 1) + 1, row * width * 3, (row + 1) * width * 3);
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  size.set([8, 2, 0, 0, 0], 8); // 8 bits a channel, RGB, deflate, adaptive filters, not interlaced (PNG §11.2.2)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', size),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

let taken = 0;

/** The screen of a machine as PNG. `workDir` is for the dump, which is removed. */
export async function takeScreenshot(monitor: QmpClient, workDir: string): Promise<Buffer> {
  const dump = join(workDir, `screen-${++taken}.ppm`);
  try {
    await monitor.execute('screendump', { filename: dump });
    return ppmToPng(await readFile(dump));
  } finally {
    await rm(dump, { force: true });
  }
}
