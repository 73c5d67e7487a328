import { mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Extent } from './disk.js';
import { dataSize, openImageFile, rawDisk, windowOf } from './file.js';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function sparseFile(size: number, pieces: readonly number[]): Promise<string> {
  const path = join(directory, 'sparse');
  const handle = await open(path, 'w');
  for (const at of pieces) await handle.write(Buffer.alloc(4096, 1), 0, 4096, at);
  await handle.truncate(size);
  await handle.close();
  return path;
}

async function all(extents: AsyncIterable<Extent>): Promise<Extent[]> {
  const list: Extent[] = [];
  for await (const extent of extents) list.push(extent);
  return list;
}

describe('an image file', () => {
  it('tells its data from its holes without reading', async () => {
    const path = await sparseFile(1 << 30, [0, 1 << 20, 700 << 20]);
    await using file = await openImageFile(path);
    expect(await all(file.extents())).toEqual([
      { offset: 0, length: 4096 },
      { offset: 1 << 20, length: 4096 },
      { offset: 700 << 20, length: 4096 },
    ]);
    expect(await dataSize(file)).toBe(3 * 4096);
  });

  it('has no extents where there is nothing', async () => {
    await using file = await openImageFile(await sparseFile(1 << 20, []));
    expect(await all(file.extents())).toEqual([]);
  });

  it('clips extents to its length', async () => {
    const path = join(directory, 'short');
    await writeFile(path, Buffer.alloc(1000, 1));
    await using file = await openImageFile(path);
    expect(await all(file.extents())).toEqual([{ offset: 0, length: 1000 }]);
  });

  it('says where it ends too early', async () => {
    const path = join(directory, 'short');
    await writeFile(path, Buffer.alloc(1000, 1));
    await using file = await openImageFile(path);
    await expect(file.read(new Uint8Array(600), 512)).rejects.toMatchObject({
      code: 'file-truncated',
      file: path,
      offset: 1000,
      expected: '112 more bytes',
    });
  });

  it('is refused when it is a directory or is not there', async () => {
    await expect(openImageFile(directory)).rejects.toMatchObject({ code: 'not-a-file' });
    await expect(openImageFile(join(directory, 'nothing'))).rejects.toMatchObject({ code: 'file-missing' });
    await symlink('/dev/zero', join(directory, 'device'));
    await expect(openImageFile(join(directory, 'device'))).rejects.toMatchObject({ code: 'not-a-file' });
  });

  it('can be looked at through a window', async () => {
    await using file = await openImageFile(await sparseFile(1 << 20, [8192, 65_536]));
    const window = windowOf(file, 10_000, 100_000);
    expect(await all(window.extents())).toEqual([
      { offset: 0, length: 2288 },
      { offset: 55_536, length: 4096 },
    ]);
    const bytes = new Uint8Array(4096);
    await window.read(bytes, 55_536);
    expect(bytes.every((byte) => byte === 1)).toBe(true);
  });

  it('is a raw disk with its last sector filled up', async () => {
    const path = join(directory, 'odd');
    await writeFile(path, Buffer.alloc(700, 5));
    await using file = await openImageFile(path);
    const bytes = new Uint8Array(512).fill(9);
    await rawDisk(file, 1024).read(bytes, 512);
    expect([bytes[187], bytes[188], bytes[511]]).toEqual([5, 0, 0]);
  });
});
