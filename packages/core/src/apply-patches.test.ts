import { mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyPatched } from './apply-patches.js';
import { openImageFile } from './file.js';
import { createOutput } from './output.js';
import { patchInPlace, undoPathOf, undoRepair } from './patch-journal.js';
import type { Patch } from './repair.js';

const signal = new AbortController().signal;
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-patches-'));
  path = join(folder, 'image');
  await writeFile(path, 'abcdefghij');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function* patches(...list: readonly [offset: number, text: string, reason?: string][]): AsyncGenerator<Patch> {
  for (const [offset, text, reason = 'why'] of list) {
    await Promise.resolve();
    yield { offset, bytes: Buffer.from(text), reason };
  }
}

/** Patches that end with a failure, as of a converter that falls over. */
async function* failing(): AsyncGenerator<Patch> {
  yield* patches([0, 'X']);
  throw new Error('fell over');
}

const content = () => readFile(path, 'utf8');

/** Copies the image with the patches in it, to a file beside it. */
async function copy(changes: AsyncIterable<Patch>, onProgress?: (done: number) => void) {
  await using file = await openImageFile(path);
  const output = await createOutput(join(folder, 'copy'), true);
  try {
    const summary = await copyPatched(file, changes, output.sink, {
      signal,
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    await output.close();
    await rename(output.partPath, join(folder, 'copy'));
    return summary;
  } finally {
    await output.discard();
  }
}

describe('copyPatched', () => {
  it('copies, patches, grows, and tells each reason once', async () => {
    expect(await copy(patches([8, 'XYZ', 'tail'], [0, 'A'], [11, '!', 'tail'], [0, 'B']))).toEqual({
      mended: [
        { reason: 'tail', patches: 2 },
        { reason: 'why', patches: 2 },
      ],
      patches: 4,
      size: 12,
    });
    expect(await readFile(join(folder, 'copy'), 'utf8')).toBe('BbcdefghXYZ!');
    expect(await content()).toBe('abcdefghij');
  });

  it('writes nothing when there is nothing to mend', async () => {
    expect(await copy(patches())).toEqual({ mended: [], patches: 0, size: 10 });
    expect((await stat(join(folder, 'copy'))).size).toBe(0);
  });

  it('keeps holes', async () => {
    await truncate(path, 2 ** 30);
    let copied = 0;
    await copy(patches([2 ** 30 - 3, 'end']), (done) => (copied = done));
    const { size, blocks } = await stat(join(folder, 'copy'));
    expect(size).toBe(2 ** 30);
    expect(copied).toBeLessThan(2 ** 20);
    expect(blocks * 512).toBeLessThan(2 ** 20);
  });

  it.each([[11], [-1], [1.5]])('refuses a patch at %d of 10 bytes', async (offset) => {
    await expect(copy(patches([offset, 'x']))).rejects.toThrow('of a file of 10 bytes');
  });

  it('bounds the reasons that it keeps', async () => {
    const many = Array.from({ length: 1500 }, (_, index): [number, string, string] => [0, 'x', `reason ${index}`]);
    const { mended } = await copy(patches(...many));
    expect(mended).toHaveLength(1001);
    expect(mended.at(-1)).toEqual({ reason: 'further reasons, not listed', patches: 500 });
  });
});

describe('patchInPlace', () => {
  const inPlace = async (changes: AsyncIterable<Patch>) => {
    await using file = await openImageFile(path);
    return await patchInPlace(path, file, changes, signal);
  };

  it('changes the file and leaves nothing beside it', async () => {
    const { patches: count } = await inPlace(patches([0, 'A'], [9, 'JKL']));
    expect(count).toBe(2);
    expect(await content()).toBe('AbcdefghiJKL');
    expect(await readdir(folder)).toEqual(['image']);
  });

  it('touches nothing when there is nothing to mend, or when the patches end in a failure', async () => {
    const { mtimeMs } = await stat(path);
    await inPlace(patches());
    await expect(inPlace(failing())).rejects.toThrow('fell over');
    expect((await stat(path)).mtimeMs).toBe(mtimeMs);
    expect(await content()).toBe('abcdefghij');
    expect(await readdir(folder)).toEqual(['image']);
  });

  /** The undo file of three patches that overlap and grow the file, made by its format and not by the code under test. */
  function undoFile(): Buffer {
    const entry = (offset: number, old: string, fresh: string) => {
      const head = Buffer.alloc(16);
      head.writeBigUInt64LE(BigInt(offset));
      head.writeUInt32LE(old.length, 8);
      head.writeUInt32LE(fresh.length, 12);
      return Buffer.concat([head, Buffer.from(old), Buffer.from(fresh)]);
    };
    const records = Buffer.concat([entry(1, 'bcd', 'BBB'), entry(3, 'd', 'D'), entry(8, 'ij', 'IJKL')]);
    const header = Buffer.alloc(64);
    header.write('polyvisor-undo1\n');
    header.writeBigUInt64LE(10n, 16);
    header.writeBigUInt64LE(12n, 24);
    header.writeBigUInt64LE(3n, 32);
    header.writeUInt32LE(crc32(records), 40);
    return Buffer.concat([header, records]);
  }

  it('leaves the undo file when the image can be neither changed nor put back', async () => {
    async function* changes() {
      yield* patches([1, 'BBB'], [3, 'D'], [8, 'IJKL']);
      await rename(path, join(folder, 'elsewhere'));
    }
    await expect(inPlace(changes())).rejects.toMatchObject({ code: 'repair-interrupted' });
    expect((await readdir(folder)).sort()).toEqual(['elsewhere', 'image.undo']);
    expect(await readFile(undoPathOf(path))).toEqual(undoFile());
  });

  it.each(['abcdefghij', 'aBBBefghij', 'aBBDefghij', 'aBBDefghIJK', 'aBBDefghIJKL'])(
    'is taken back after a kill that left %s',
    async (half) => {
      await writeFile(path, half);
      await writeFile(undoPathOf(path), undoFile());
      await expect(inPlace(patches([0, 'Z']))).rejects.toMatchObject({ code: 'repair-interrupted' });
      await undoRepair(path);
      expect(await content()).toBe('abcdefghij');
      expect(await readdir(folder)).toEqual(['image']);
    },
  );

  it('takes nothing from an undo file that is damaged or of another image', async () => {
    const refuses = async (undo: Uint8Array, image: string) => {
      await writeFile(path, image);
      await writeFile(undoPathOf(path), undo);
      await expect(undoRepair(path)).rejects.toThrow(/undo file|too early/);
      expect(await content()).toBe(image);
    };
    const good = undoFile();
    for (const at of [0, 32, 40, 64, 66, 72, 79, 90, good.length - 1]) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 1;
      await refuses(bad, 'aBBDefghij');
    }
    for (const length of [0, 63, 70, good.length - 1]) await refuses(good.subarray(0, length), 'aBBDefghij');
    await refuses(good, 'abc');
    await refuses(good, 'abcdefghijklm');
  });

  it('says so when there is nothing to take back', async () => {
    await expect(undoRepair(path)).rejects.toMatchObject({ code: 'undo-missing' });
  });

  it('refuses what is no regular file', async () => {
    await using file = await openImageFile(path);
    await expect(patchInPlace(folder, file, patches([0, 'x']), signal)).rejects.toMatchObject({ code: 'not-a-file' });
  });
});
