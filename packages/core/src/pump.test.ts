import { describe, expect, it } from 'vitest';
import type { DiskWriter } from './converter.js';
import { BLOCK_SIZE, type Block, type DiskSource, type Extent } from './disk.js';
import { createBlock, pump } from './pump.js';

const never = new AbortController().signal;

/** A disk with a one-byte pattern in each extent. */
function disk(size: number, extents: readonly Extent[], onRead?: (offset: number) => void): DiskSource {
  return {
    size,
    async *extents() {
      await Promise.resolve();
      yield* extents;
    },
    read: async (into, offset) => {
      onRead?.(offset);
      await Promise.resolve();
      into.fill(7);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function writer(write: (block: Block) => Promise<void>, prepare?: (block: Block) => void): DiskWriter {
  return {
    size: 0,
    write,
    finish: () => Promise.resolve(),
    abort: () => Promise.resolve(),
    ...(prepare ? { prepare } : {}),
  };
}

const wait = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

describe('pump', () => {
  it('hands every writer every block in order, one at a time', async () => {
    const seen: number[][] = [[], []];
    let inside = 0;
    const slow = writer(async ({ offset }) => {
      expect(++inside).toBe(1);
      await wait(2);
      inside--;
      seen[0]?.push(offset);
    });
    const fast = writer(async ({ offset }) => void seen[1]?.push(offset));
    await pump(disk(20 * BLOCK_SIZE, [{ offset: 0, length: 20 * BLOCK_SIZE }]), [slow, fast], { signal: never });
    const expected = Array.from({ length: 20 }, (_, index) => index * BLOCK_SIZE);
    expect(seen).toEqual([expected, expected]);
  });

  it('reads only the extents, each once, and fills the rest with zeros', async () => {
    const reads: number[] = [];
    const blocks: Buffer[] = [];
    const extents = [
      { offset: 4096, length: 4096 },
      { offset: BLOCK_SIZE - 512, length: 1024 },
    ];
    await pump(
      disk(2 * BLOCK_SIZE, extents, (offset) => reads.push(offset)),
      [writer(async ({ bytes }) => void blocks.push(Buffer.from(bytes)))],
      { signal: never },
    );
    expect(reads).toEqual([4096, BLOCK_SIZE - 512, BLOCK_SIZE]);
    expect(blocks.map((block) => [...block].filter((byte) => byte === 7).length)).toEqual([4096 + 512, 512]);
    expect(blocks[0]?.subarray(0, 4096).every((byte) => byte === 0)).toBe(true);
    expect(blocks[1]?.[512]).toBe(0);
  });

  it('never reads more than six blocks ahead of the slowest writer', async () => {
    let reads = 0;
    let written = 0;
    let ahead = 0;
    const source = disk(40 * BLOCK_SIZE, [{ offset: 0, length: 40 * BLOCK_SIZE }], () => {
      reads++;
      ahead = Math.max(ahead, reads - written);
    });
    const slow = writer(async () => {
      await wait(1);
      written++;
    });
    await pump(source, [slow, writer(() => Promise.resolve())], { signal: never });
    expect(ahead).toBeLessThanOrEqual(7);
    expect(written).toBe(40);
  });

  it('prepares each block before it is written', async () => {
    const prepared: number[] = [];
    const checking = writer(
      async ({ offset }) => expect(prepared).toContain(offset),
      ({ offset }) => prepared.push(offset),
    );
    await pump(disk(9 * BLOCK_SIZE, [{ offset: 0, length: 9 * BLOCK_SIZE }]), [checking], { signal: never });
    expect(prepared).toHaveLength(9);
  });

  it('stops everything at the first failure, and rejects with it', async () => {
    const broken = new Error('broken');
    let others = 0;
    const failing = writer(async ({ offset }) => {
      if (offset === BLOCK_SIZE) throw broken;
    });
    const other = writer(async () => {
      await wait(1);
      others++;
    });
    await expect(
      pump(disk(100 * BLOCK_SIZE, [{ offset: 0, length: 100 * BLOCK_SIZE }]), [failing, other], { signal: never }),
    ).rejects.toBe(broken);
    const atEnd = others;
    await wait(10);
    expect(others).toBe(atEnd);
    expect(others).toBeLessThan(20);
  });

  it('passes on the reason when it is cancelled, after the writers came to rest', async () => {
    const cancel = new AbortController();
    const reason = new Error('enough');
    let writing = 0;
    const slow = writer(async ({ offset }) => {
      writing++;
      if (offset === 0) cancel.abort(reason);
      await wait(5);
      writing--;
    });
    await expect(
      pump(disk(10 * BLOCK_SIZE, [{ offset: 0, length: 10 * BLOCK_SIZE }]), [slow], { signal: cancel.signal }),
    ).rejects.toBe(reason);
    expect(writing).toBe(0);
  });

  it('passes on a failure to read', async () => {
    const broken = new Error('unreadable');
    const source = disk(4 * BLOCK_SIZE, [{ offset: 0, length: 4 * BLOCK_SIZE }], (offset) => {
      if (offset === 2 * BLOCK_SIZE) throw broken;
    });
    await expect(pump(source, [writer(() => Promise.resolve())], { signal: never })).rejects.toBe(broken);
  });

  it.each([
    [
      'descend',
      [
        { offset: 4096, length: 512 },
        { offset: 0, length: 512 },
      ],
    ],
    [
      'overlap',
      [
        { offset: 0, length: 4096 },
        { offset: 512, length: 512 },
      ],
    ],
    ['leave the disk', [{ offset: BLOCK_SIZE - 512, length: 1024 }]],
  ])('refuses extents that %s', async (_, extents) => {
    await expect(pump(disk(BLOCK_SIZE, extents), [writer(() => Promise.resolve())], { signal: never })).rejects.toThrow(
      /extents/,
    );
  });

  it('counts progress in bytes of data', async () => {
    const progress: [number, number][] = [];
    await pump(
      disk(8 * BLOCK_SIZE, [
        { offset: BLOCK_SIZE, length: 1024 },
        { offset: 5 * BLOCK_SIZE, length: 512 },
      ]),
      [],
      {
        signal: never,
        onProgress: (done, total) => progress.push([done, total]),
      },
    );
    expect(progress).toEqual([
      [0, 1536],
      [1024, 1536],
      [1536, 1536],
    ]);
  });

  it('never counts beyond the whole, though the map may grow while it is read', async () => {
    let walks = 0;
    const growing: DiskSource = {
      ...disk(2 * BLOCK_SIZE, []),
      async *extents() {
        await Promise.resolve();
        yield { offset: 0, length: walks++ === 0 ? 4096 : BLOCK_SIZE };
      },
    };
    const progress: [number, number][] = [];
    await pump(growing, [], { signal: never, onProgress: (done, total) => progress.push([done, total]) });
    expect(progress).toEqual([
      [0, 4096],
      [BLOCK_SIZE, BLOCK_SIZE],
    ]);
  });
});

describe('a block', () => {
  it('knows its runs at any granularity', () => {
    const bytes = new Uint8Array(BLOCK_SIZE);
    bytes[5000] = 1;
    bytes[9000] = 1;
    bytes[200_000] = 1;
    const block = createBlock(0, bytes);
    expect([...(block?.runs(512) ?? [])]).toEqual([
      { offset: 4608, length: 512 },
      { offset: 8704, length: 512 },
      { offset: 199_680, length: 512 },
    ]);
    expect([...(block?.runs(4096) ?? [])]).toEqual([
      { offset: 4096, length: 8192 },
      { offset: 196_608, length: 4096 },
    ]);
    expect([...(block?.runs(65_536) ?? [])]).toEqual([
      { offset: 0, length: 65_536 },
      { offset: 196_608, length: 65_536 },
    ]);
    expect([...(block?.runs(BLOCK_SIZE) ?? [])]).toEqual([{ offset: 0, length: BLOCK_SIZE }]);
  });

  it('clips its last run to the end of the disk', () => {
    const bytes = new Uint8Array(5 * 512);
    bytes[bytes.length - 1] = 1;
    expect([...(createBlock(0, bytes)?.runs(65_536) ?? [])]).toEqual([{ offset: 0, length: 5 * 512 }]);
  });

  it('is nothing when all of it is zero', () => {
    expect(createBlock(0, new Uint8Array(BLOCK_SIZE))).toBeUndefined();
  });
});
