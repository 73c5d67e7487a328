import { execFileSync } from 'node:child_process';
import { accessSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  decodeInJavaScript,
  streamInJavaScript,
  zstdCanCompress,
  zstdCompress,
  zstdDecompress,
  zstdStream,
} from './zstd.js';

const MiB = 1024 * 1024;

/** Text-like bytes, so that there is something to compress. */
function sample(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 7 + (at >> 5) * (at >> 9)) & 0x3f;
  return bytes;
}

/** A frame by hand: magic, descriptor, window of 1 KiB, then blocks. */
const frame = (window: number, ...blocks: number[][]) =>
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, window, ...blocks.flat()]);
const runLength = (size: number, last: boolean) => {
  const header = (size << 3) | (1 << 1) | (last ? 1 : 0);
  return [header & 255, (header >> 8) & 255, header >> 16, 0x41];
};

const canCompress = await zstdCanCompress();
const hasCommand = (() => {
  try {
    accessSync('/usr/bin/zstd');
    return true;
  } catch {
    return false;
  }
})();
if (process.env['CI'] && !(canCompress && hasCommand)) throw new Error('install the Debian packages libzstd1 and zstd');

async function collect(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all);
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

describe.skipIf(!canCompress)('zstd', () => {
  it.each([1, 3, 19])('gives back what it compressed at level %i', async (level) => {
    const bytes = sample(300_000);
    const compressed = await zstdCompress(bytes, level);
    expect(compressed.length).toBeLessThan(bytes.length / 2);
    expect(bytes.equals(await zstdDecompress(compressed, bytes.length))).toBe(true);
    const into = Buffer.alloc(bytes.length);
    expect(decodeInJavaScript(compressed, into)).toBe(bytes.length);
    expect(into.equals(bytes)).toBe(true);
  });

  it('reads frames that follow each other, skips those to be skipped, and ignores what follows', async () => {
    const bytes = sample(200_000);
    const first = await zstdCompress(bytes.subarray(0, 77_000), 3);
    const second = await zstdCompress(bytes.subarray(77_000), 3);
    const skipped = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const garbage = Buffer.alloc(100, 0xee);
    expect(bytes.equals(await zstdDecompress(Buffer.concat([first, skipped, second, garbage]), bytes.length))).toBe(
      true,
    );
  });

  it('refuses too little, too much and damage', async () => {
    const compressed = await zstdCompress(sample(100_000), 3);
    await expect(zstdDecompress(compressed, 100_001)).rejects.toMatchObject({ code: 'zstd-invalid' });
    await expect(zstdDecompress(compressed, 99_999)).rejects.toMatchObject({ code: 'zstd-invalid' });
    await expect(zstdDecompress(compressed.subarray(0, -3), 100_000)).rejects.toMatchObject({ code: 'zstd-invalid' });
    await expect(zstdDecompress(Buffer.alloc(50), 100)).rejects.toMatchObject({ code: 'zstd-invalid' });
  });

  it('compresses many pieces at once', async () => {
    const parts = Array.from({ length: 300 }, (_, index) => sample(4096 + index));
    const compressed = await Promise.all(parts.map((part) => zstdCompress(part, 1)));
    const back = await Promise.all(compressed.map((part, index) => zstdDecompress(part, 4096 + index)));
    back.forEach((bytes, index) => expect((parts[index] as Buffer).equals(bytes)).toBe(true));
  });
});

describe('hostile zstd data', () => {
  it('stops at the bytes that are wanted, whatever a frame would give', async () => {
    const bomb = frame(0x40, ...Array.from({ length: 999 }, () => runLength(131_072, false)), runLength(131_072, true));
    await expect(zstdDecompress(bomb, 65_536)).rejects.toMatchObject({ code: 'zstd-invalid' });
    expect(() => decodeInJavaScript(bomb, Buffer.alloc(65_536))).toThrow('more than 65536 bytes');
  });

  it('grants no window beyond 8 MiB for a piece and 128 MiB for a file', async () => {
    const windowOf = (bytes: number) => (Math.log2(bytes) - 10) << 3;
    const small = frame(windowOf(16 * MiB), runLength(100, true));
    await expect(zstdDecompress(small, 100)).rejects.toThrow(/window/);
    expect((await collect(zstdStream(pieces(small, 5)))).length).toBe(100);
    const large = frame(windowOf(256 * MiB), runLength(100, true));
    await expect(collect(zstdStream(pieces(large, 5)))).rejects.toThrow(/window/);
  });

  it('survives flipped bits', async () => {
    const whole = canCompress ? Buffer.from(await zstdCompress(sample(20_000), 3)) : frame(0, runLength(20_000, true));
    for (let flip = 0; flip < whole.length * 8; flip += 37) {
      const damaged = Buffer.from(whole);
      damaged[flip >> 3] = (damaged[flip >> 3] ?? 0) ^ (1 << (flip & 7));
      const result = await zstdDecompress(damaged, 20_000).catch((error: unknown) => error as { code: string });
      if (!(result instanceof Uint8Array)) expect(result.code).toBe('zstd-invalid');
      try {
        expect(decodeInJavaScript(damaged, Buffer.alloc(20_000))).toBeLessThanOrEqual(20_000);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });
});

describe.skipIf(!hasCommand)('whole files made by the zstd command', () => {
  const bytes = sample(3 * MiB + 17);
  const compressed = hasCommand
    ? execFileSync('zstd', ['-q', '-c', '-3'], { input: bytes, maxBuffer: 16 * MiB })
    : bytes;

  it.each([1000, 65_536, 10 * MiB])('are expanded, %i bytes at a time', async (size) => {
    const twice = Buffer.concat([compressed, compressed]);
    expect(Buffer.concat([bytes, bytes]).equals(await collect(zstdStream(pieces(twice, size))))).toBe(true);
  });

  it('are expanded without the library', async () => {
    const decoder = streamInJavaScript();
    expect(bytes.equals(await collect(decoder.push(compressed)))).toBe(true);
  });

  it('are refused when cut short, followed by other data, or empty', async () => {
    const reading = (damaged: Buffer) => expect(collect(zstdStream(pieces(damaged, 4096)))).rejects;
    await reading(compressed.subarray(0, -9)).toMatchObject({ code: 'file-truncated' });
    await reading(Buffer.alloc(0)).toMatchObject({ code: 'file-truncated' });
    await reading(Buffer.concat([compressed, Buffer.from('tail')])).toMatchObject({ code: 'zstd-invalid' });
  });
});
