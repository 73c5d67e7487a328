import { describe, expect, it } from 'vitest';
import { memoryDisk, memoryFile, memorySink, noise } from './memory.js';

describe('a sink in memory', () => {
  it('tells where a writer went back, and takes gaps', async () => {
    const sink = memorySink();
    await sink.write(noise(10), 100);
    await sink.write(noise(10), 200_000);
    expect(sink.wentBack).toBeUndefined();
    await sink.write(noise(4), 0);
    await sink.write(noise(4), 50);
    expect(sink.wentBack).toEqual({ from: 200_010, to: 0 });
    await sink.end(200_010);
    expect(
      sink
        .bytes()
        .subarray(104, 200_000)
        .every((byte, index) => byte === (noise(10)[index + 4] ?? 0)),
    ).toBe(true);
  });

  it('refuses to go back when it is for appending, and to be cut', async () => {
    const sink = memorySink({ appendOnly: true });
    await sink.write(noise(10), 100);
    await expect(sink.write(noise(1), 109)).rejects.toThrow('written at 109, it stands at 110');
    await expect(sink.end(109)).rejects.toThrow('cut to 109');
    await sink.end(4096);
    expect(sink.bytes()).toHaveLength(4096);
  });

  it('spends nothing on zeros, and still overwrites with them', async () => {
    const sink = memorySink();
    const extents = async () => {
      let count = 0;
      for await (const { length } of sink.file().extents()) count += length;
      return count;
    };
    await sink.write(new Uint8Array(1 << 20), 0);
    expect(await extents()).toBe(0);
    await sink.write(noise(512), 0);
    await sink.write(new Uint8Array(512), 0);
    expect(sink.bytes().every((byte) => byte === 0)).toBe(true);
    expect(sink.bytes()).toHaveLength(1 << 20);
  });

  it('passes on what happens before a write, and counts none of it', async () => {
    const full = new Error('full');
    const sink = memorySink({
      beforeWrite: () => {
        throw full;
      },
    });
    await expect(sink.write(noise(8), 0)).rejects.toBe(full);
    expect(sink.bytes().every((byte) => byte === 0)).toBe(true);
    await expect((await sink.beside('further')).write(noise(8), 0)).rejects.toBe(full);
  });
});

describe('a file in memory', () => {
  it('has the files beside it that it was given', async () => {
    const file = memoryFile(noise(512), 'a.vmdk', new Map([['a-flat.vmdk', noise(1024, 2)]]));
    expect((await file.beside?.('a-flat.vmdk'))?.size).toBe(1024);
    await expect(file.beside?.('b-flat.vmdk')).rejects.toMatchObject({ code: 'file-missing' });
  });
});

describe('a disk in memory', () => {
  it('remembers what was read', async () => {
    const disk = memoryDisk(4096, [{ offset: 512, bytes: noise(512) }]);
    const into = new Uint8Array(1024);
    await disk.read(into, 0);
    expect(into.subarray(512)).toEqual(noise(512));
    expect(disk.reads).toEqual([{ offset: 0, length: 1024 }]);
  });
});
