import { copyFile, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareDisks, openImageFile } from '@polyvisor/core';
import { available, judgeWith, memoryDisk, noise } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { vhdx } from './vhdx.js';

const MiB = 2 ** 20;
const { signal } = new AbortController();

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const path = (name: string) => join(directory, name);

/** Rules that an image breaks. */
async function rulesOf(image: string): Promise<ReadonlySet<string>> {
  await using file = await openImageFile(image);
  const rules = new Set<string>();
  for await (const { rule } of vhdx.check?.(file, { signal }) ?? []) rules.add(rule);
  return rules;
}

/** What qemu-img shows of an image, as a raw file. */
async function asRaw(image: string): Promise<string> {
  await judgeWith('qemu-img', ['convert', '-f', 'vhdx', '-O', 'raw', image, path('shown.raw')]);
  return path('shown.raw');
}

async function expectSame(image: string, raw: string): Promise<void> {
  await using file = await openImageFile(image);
  await using expected = await openImageFile(raw);
  const { disk } = await vhdx.open(file);
  expect(await compareDisks(disk, { ...expected }, { signal })).toEqual({ equal: true });
}

describe.skipIf(!available('qemu-img', 'qemu-utils'))('a VHDX made by qemu-img', () => {
  it.each([
    ['subformat=dynamic', 'dynamic'],
    ['subformat=dynamic,block_size=1048576', 'dynamic'],
    ['subformat=dynamic,block_size=268435456', 'dynamic'],
    ['subformat=dynamic,block_size=4194304,block_state_zero=off,log_size=2097152', 'dynamic'],
    ['subformat=fixed,block_size=2097152', 'fixed'],
  ])('is read as it was meant (%s)', async (options, subformat) => {
    const bytes = noise(11 * MiB + 512);
    bytes.fill(0, 3 * MiB, 7 * MiB);
    await writeFile(path('disk.raw'), bytes);
    const convert = ['convert', '-f', 'raw', '-O', 'vhdx', '-o', options];
    await judgeWith('qemu-img', [...convert, path('disk.raw'), path('disk.vhdx')]);
    await using file = await openImageFile(path('disk.vhdx'));
    const { disk, facts } = await vhdx.open(file);
    expect(facts).toMatchObject({ subformat, creator: expect.stringContaining('QEMU') as string });
    const expected = memoryDisk(bytes.length, [{ offset: 0, bytes }]);
    expect(await compareDisks(expected, disk, { signal })).toEqual({ equal: true });
    expect(await vhdx.detect(file)).toBe('yes');
    // QEMU does not mark its regions as required, which VirtualBox minds.
    expect(await rulesOf(path('disk.vhdx'))).toEqual(new Set(['vhdx-region-optional']));
  });

  it('is read when it is all there is of 64 TiB', async () => {
    await judgeWith('qemu-img', ['create', '-f', 'vhdx', '-o', 'block_size=1048576', path('big.vhdx'), '64T']);
    await judgeWith('qemu-io', ['-f', 'vhdx', '-c', 'write -P 7 70368744112128 64k', path('big.vhdx')]);
    await using file = await openImageFile(path('big.vhdx'));
    const { disk, facts } = await vhdx.open(file);
    expect(facts).toMatchObject({ blocks: 64 * MiB, 'blocks stored': 1 });
    const end = Buffer.alloc(131_072);
    await disk.read(end, disk.size - end.length);
    expect(end.equals(Buffer.concat([Buffer.alloc(65_536), Buffer.alloc(65_536, 7)]))).toBe(true);
  });
});

describe.skipIf(!available('qemu-io', 'qemu-utils'))('a VHDX that QEMU did not close', () => {
  /** Lets QEMU's writes to the BAT fail: what it wants to change there is in the log alone. */
  async function interrupted(image: string, ...commands: string[]): Promise<void> {
    const file = {
      driver: 'blkdebug',
      image: { driver: 'file', filename: image },
      'inject-error': [{ event: 'none', iotype: 'write', errno: 5, sector: (2 * MiB) / 512, once: false }],
    };
    const node = `json:${JSON.stringify({ driver: 'vhdx', file })}`;
    const failure = await judgeWith('qemu-io', [...commands.flatMap((command) => ['-c', command]), node]).then(
      (output) => output,
      (error: unknown) => String(error),
    );
    expect(failure).toMatch(/Input\/output error/);
  }

  it.each([
    ['one write', ['write -P 4 30M 64k']],
    ['writes of which some are lost', ['write -P 4 30M 64k', 'write -P 5 2M 1M', 'write -P 6 31M 4k']],
  ])('is read as qemu-img reads it once it has mended it (%s)', async (_, commands) => {
    const image = path('dirty.vhdx');
    await judgeWith('qemu-img', ['create', '-f', 'vhdx', '-o', 'block_size=1048576', image, '32M']);
    await judgeWith('qemu-io', ['-f', 'vhdx', '-c', 'write -P 1 0 1M', '-c', 'write -P 2 9M 1M', image]);
    await interrupted(image, ...commands);
    expect(await rulesOf(image)).toEqual(new Set(['vhdx-log-dirty', 'vhdx-region-optional']));
    await expect(judgeWith('qemu-img', ['info', image])).rejects.toThrow(/log that needs to be replayed/);

    await copyFile(image, path('mended.vhdx'));
    await judgeWith('qemu-img', ['check', '-f', 'vhdx', '-r', 'all', path('mended.vhdx')]);
    const raw = await asRaw(path('mended.vhdx'));
    await expectSame(image, raw);

    // Our own repair pleases it as well.
    await copyFile(image, path('repaired.vhdx'));
    await repair(image, path('repaired.vhdx'));
    await judgeWith('qemu-img', ['check', '-f', 'vhdx', path('repaired.vhdx')]);
    await judgeWith('qemu-img', ['compare', '-f', 'vhdx', '-F', 'raw', path('repaired.vhdx'), raw]);
  });

  /** Applies what `repair` wants for one file to a copy of it. */
  async function repair(image: string, copy: string): Promise<void> {
    await using file = await openImageFile(image);
    const handle = await open(copy, 'r+');
    for await (const { offset, bytes } of vhdx.repair?.(file, signal) ?? [])
      await handle.write(bytes, 0, bytes.length, offset);
    await handle.close();
  }
});
