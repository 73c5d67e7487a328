import type { Patch } from '@polyvisor/core';
import { memoryFile, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { AT, putEntry, type SampleEntry, sampleImage, withLog } from './sample-image.js';
import { vhdx } from './vhdx.js';

const MiB = 2 ** 20;
const { signal } = new AbortController();

async function patchesFor(image: Buffer): Promise<readonly Patch[]> {
  const patches: Patch[] = [];
  for await (const patch of vhdx.repair?.(memoryFile(image), signal) ?? []) patches.push(patch);
  return patches;
}

/** The image with what `repair` wants; a patch may start where the file ends, not behind it. */
function patched(image: Buffer, patches: readonly Patch[]): Buffer {
  let result = Buffer.from(image);
  for (const { offset, bytes } of patches) {
    expect(offset).toBeLessThanOrEqual(result.length);
    const growth = Math.max(0, offset + bytes.length - result.length);
    result = Buffer.concat([result, Buffer.alloc(growth)]);
    result.set(bytes, offset);
  }
  return result;
}

async function rulesOf(image: Buffer): Promise<readonly string[]> {
  const rules: string[] = [];
  for await (const { rule } of vhdx.check?.(memoryFile(image), { signal }) ?? []) rules.push(rule);
  return rules;
}

async function contentOf(image: Buffer): Promise<Buffer> {
  const { disk } = await vhdx.open(memoryFile(image));
  const whole = Buffer.alloc(disk.size);
  await disk.read(whole, 0);
  return whole;
}

function filled(image = sampleImage()): Buffer {
  image.set(noise(image.length - 4 * MiB, 41), 4 * MiB);
  return image;
}

describe('repair', () => {
  it('has nothing to do on a sound image, and none on what is no image', async () => {
    expect(await patchesFor(sampleImage())).toEqual([]);
    expect(await patchesFor(Buffer.alloc(MiB))).toEqual([]);
  });

  const mendable: Record<string, (image: Buffer) => void> = {
    'the first header': (image) => image.writeUInt8(1, AT.header1 + 2000),
    'the second header': (image) => image.fill(0, AT.header2, AT.header2 + 4096),
    'the checksums of both headers': (image) => {
      image.writeUInt32LE(1, AT.header1 + 4);
      image.writeUInt32LE(1, AT.header2 + 4);
    },
    'headers with the same number': (image) => image.copy(image, AT.header2, AT.header1, AT.header1 + 4096),
    'the first region table': (image) => image.fill(0xff, AT.table1, AT.table1 + 65_536),
    'the second region table': (image) => image.writeUInt8(1, AT.table2 + 9000),
    'the checksums of both region tables': (image) => {
      image.writeUInt32LE(1, AT.table1 + 4);
      image.writeUInt32LE(1, AT.table2 + 4);
    },
    'everything that is there twice': (image) => {
      image.fill(0, AT.header1, AT.header1 + 4096);
      image.fill(0, AT.table1, AT.table1 + 65_536);
    },
  };
  for (const [name, damage] of Object.entries(mendable)) {
    it(`mends ${name}`, async () => {
      const sound = filled();
      const image = Buffer.from(sound);
      damage(image);
      expect(await rulesOf(image)).not.toEqual([]);
      const mended = patched(image, await patchesFor(image));
      expect(await rulesOf(mended)).toEqual([]);
      expect((await contentOf(mended)).equals(await contentOf(sound))).toBe(true);
      expect(await patchesFor(mended)).toEqual([]);
    });
  }

  it('does not guess', async () => {
    const headers = filled();
    headers.writeUInt8(1, AT.header1 + 2000);
    headers.writeUInt8(2, AT.header2 + 2000);
    expect(await patchesFor(headers)).toEqual([]);
    const tables = filled();
    tables.writeUInt8(1, AT.table1 + 9000);
    tables.writeUInt8(2, AT.table2 + 9000);
    expect(await patchesFor(tables)).toEqual([]);
    expect(await patchesFor(withLog(filled(), []))).toEqual([]);
    const overlapping = filled();
    putEntry(overlapping, 0, 6, 4);
    expect(await patchesFor(overlapping)).toEqual([]);
  });

  const bat = (...places: number[]): Buffer => {
    const scratch = Buffer.alloc(AT.bat + 4096);
    places.forEach((mib, index) => putEntry(scratch, index, 6, mib));
    return scratch.subarray(AT.bat);
  };
  const entries = (last: number): SampleEntry[] => [
    { sequence: 5, position: MiB - 4096, tail: MiB - 4096, changes: [{ offset: AT.bat, page: bat(4) }] },
    {
      sequence: 6,
      position: 4096,
      tail: MiB - 4096,
      last,
      changes: [
        { offset: AT.bat, page: bat(4, 5) },
        { offset: 4 * MiB + 8192, zeros: 12_288 },
        { offset: 4 * MiB + 12_288, page: Buffer.from(noise(4096, 42)) },
      ],
    },
  ];

  it('replays the log for good, as reading does in memory', async () => {
    const image = withLog(filled(sampleImage({ bat: [] })), entries(6 * MiB));
    const mended = patched(image, await patchesFor(image));
    expect(await rulesOf(mended)).toEqual([]);
    expect((await contentOf(mended)).equals(await contentOf(image))).toBe(true);
    expect((await contentOf(mended)).equals(Buffer.alloc(4 * MiB))).toBe(false);
    const { linkId } = await vhdx.open(memoryFile(mended));
    expect(linkId).toBe((await vhdx.open(memoryFile(image))).linkId);
  });

  it('makes the file as long as its log says', async () => {
    const image = withLog(filled(sampleImage({ bat: [], mib: 5 })), entries(6 * MiB));
    const mended = patched(image, await patchesFor(image));
    expect(mended.length).toBe(6 * MiB);
    expect(await rulesOf(mended)).toEqual([]);
    expect((await contentOf(mended)).equals(await contentOf(image))).toBe(true);
  });

  it('does not write terabytes of zeros for a log that asks for it', async () => {
    const image = withLog(filled(sampleImage({ bat: [] })), entries(2 ** 45));
    expect(await patchesFor(image)).toEqual([]);
  });

  it('mends a damaged header and a log at once', async () => {
    const image = withLog(filled(sampleImage({ bat: [] })), entries(6 * MiB));
    const content = await contentOf(image);
    image.fill(0, AT.header1, AT.header1 + 4096);
    image.fill(0, AT.table2, AT.table2 + 65_536);
    const mended = patched(image, await patchesFor(image));
    expect(await rulesOf(mended)).toEqual([]);
    expect((await contentOf(mended)).equals(content)).toBe(true);
  });

  it('gives a last block its end', async () => {
    const image = filled(sampleImage({ size: 3 * MiB, blockSize: 2 * MiB, bat: [[0, 0], [6, 4]], mib: 5 })); // prettier-ignore
    const mended = patched(image, await patchesFor(image));
    expect(mended.length).toBe(6 * MiB);
    expect(await rulesOf(mended)).toEqual([]);
  });
});
