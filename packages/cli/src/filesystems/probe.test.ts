import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ByteSource } from '@polyvisor/core';
import { available } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasFile } from './fat.js';
import { probeFileSystem } from './probe.js';
import { volumeAt } from './superblock.js';

/** A disk that counts what is read of it. */
function disk(bytes: Buffer): ByteSource & { readonly read: ByteSource['read']; taken(): number } {
  let taken = 0;
  return {
    size: bytes.length,
    taken: () => taken,
    async *extents() {
      yield { offset: 0, length: bytes.length };
    },
    read: (into, offset) => {
      if (offset < 0 || offset + into.length > bytes.length) return Promise.reject(new Error(`read at ${offset}`));
      taken += into.length;
      return Promise.resolve(void bytes.copy(into, 0, offset));
    },
  };
}

const probe = (bytes: Buffer) => probeFileSystem(disk(bytes), 0, bytes.length);

const UUID = '0123456789abcdef0123456789abcdef';
const DASHED = '01234567-89ab-cdef-0123-456789abcdef';

/** Bytes with texts (Latin-1), hexadecimal digits (`x:`) or numbers at some places; numbers are u32 little-endian. */
function made(pieces: Readonly<Record<number, string | number | bigint>>, size = 256 * 1024): Buffer {
  const bytes = Buffer.alloc(size);
  for (const [at, piece] of Object.entries(pieces)) {
    if (typeof piece === 'number') bytes.writeUInt32LE(piece, Number(at));
    else if (typeof piece === 'bigint') bytes.writeBigUInt64LE(piece, Number(at));
    else if (piece.startsWith('x:')) bytes.write(piece.slice(2), Number(at), 'hex');
    else bytes.write(piece, Number(at), 'latin1');
  }
  return bytes;
}

/** Laid out by the texts of the formats; for those whose tools are not on every machine. */
const MADE: readonly (readonly [object, Buffer])[] = [
  [
    { type: 'xfs', label: 'data', uuid: DASHED, size: 4096 * 256 },
    made({ 0: 'XFSB', 4: 'x:00001000', 8: 'x:0000000000000100', 32: `x:${UUID}`, 108: 'data' }),
  ],
  [
    { type: 'btrfs', label: 'pool', uuid: DASHED, size: 200_000_000 },
    made({ 65568: `x:${UUID}`, 65600: '_BHRfS_M', 65648: 200_000_000n, 65835: 'pool' }),
  ],
  [
    { type: 'f2fs', label: 'ph', uuid: DASHED, size: 4096 * 99 },
    made({ 1024: 0xf2f52010, 1040: 12, 1060: 99n, 1132: `x:${UUID}`, 1148: 'p\0h\0' }),
  ],
  [
    { type: 'erofs', label: 'sys', uuid: DASHED, size: 4096 * 7 },
    made({ 1024: 0xe0f5e1e2, 1036: 12, 1060: 7, 1072: `x:${UUID}`, 1088: 'sys' }),
  ],
  [{ type: 'squashfs', size: 12_345 }, made({ 0: 'hsqs', 40: 12_345n })],
  [{ type: 'reiserfs', size: 8192 * 4096 }, made({ 65536: 8192, 65580: 4096, 65588: 'ReIsEr2Fs' })],
  [{ type: 'jfs' }, made({ 32768: 'JFS1' })],
  [{ type: 'swap', uuid: DASHED, size: 4096 * 64 }, made({ 1024: 1, 1028: 63, 1036: `x:${UUID}`, 4086: 'SWAPSPACE2' })],
  [{ type: 'LUKS2', label: 'secret', uuid: DASHED }, made({ 0: 'LUKS\xba\xbe\0\x02', 24: 'secret', 168: DASHED })],
  [{ type: 'LUKS1', uuid: DASHED }, made({ 0: 'LUKS\xba\xbe\0\x01', 24: 'aes', 168: DASHED })],
  [
    { type: 'LVM2', uuid: 'abcdef-ghij-klmn-opqr-stuv-wxyz-012345', size: 2 ** 30 },
    made({ 512: 'LABELONE', 532: 32, 536: 'LVM2 001', 544: 'abcdefghijklmnopqrstuvwxyz012345', 576: 2n ** 30n }),
  ],
  [
    { type: 'Linux RAID', label: 'host:0', uuid: DASHED },
    made({ 4096: 0xa92b4efc, 4100: 1, 4112: `x:${UUID}`, 4128: 'host:0' }),
  ],
  [{ type: 'BitLocker' }, made({ 0: '\xeb\x58\x90-FVE-FS-' })],
  [
    { type: 'ISO 9660', label: 'Debian 12', size: 2048 * 300 },
    made({ 32768: '\x01CD001\x01', 32808: 'Debian 12'.padEnd(32), 32848: 300, 32896: 2048 }),
  ],
  [{ type: 'UDF' }, made({ 32769: 'BEA01' })],
  [{ type: 'HFS+', size: 4096 * 5 }, made({ 1024: 'H+\0\x04', 1064: 'x:0000100000000005' })],
  [{ type: 'APFS', uuid: DASHED, size: 4096 * 50 }, made({ 32: 'NXSB', 36: 4096, 40: 50n, 72: `x:${UUID}` })],
  [
    { type: 'exFAT', label: 'stick', uuid: '1234-ABCD', size: 512 * 400 },
    made({
      0: '\xeb\x76\x90EXFAT   ',
      72: 400n,
      88: 64, // cluster heap, in sectors
      96: 3, // root directory's cluster
      100: 0x1234abcd,
      108: '\x09\x03',
      [64 * 512 + 4096]: '\x83\x05s\0t\0i\0c\0k\0',
    }),
  ],
  [
    { type: 'ntfs', label: 'Windows', uuid: '0123456789ABCDEF', size: 512 * 300 },
    made({
      0: '\xeb\x52\x90NTFS    \0\x02\x08',
      40: 299n,
      48: 4n, // cluster of the master file table
      64: '\xf6', // records of 2 to the 10 bytes
      72: 0x0123456789abcdefn,
      [4 * 4096 + 3 * 1024]: 'FILE',
      [4 * 4096 + 3 * 1024 + 20]: 56,
      [4 * 4096 + 3 * 1024 + 56]: 0x10,
      [4 * 4096 + 3 * 1024 + 60]: 24,
      [4 * 4096 + 3 * 1024 + 80]: 0x60,
      [4 * 4096 + 3 * 1024 + 84]: 40,
      [4 * 4096 + 3 * 1024 + 96]: 14,
      [4 * 4096 + 3 * 1024 + 100]: 24,
      [4 * 4096 + 3 * 1024 + 104]: 'W\0i\0n\0d\0o\0w\0s\0',
    }),
  ],
];

describe('probeFileSystem', () => {
  it.each(MADE.map(([expected, bytes]) => [(expected as { type: string }).type, expected, bytes] as const))(
    'knows %s',
    async (_, expected, bytes) => {
      expect(await probe(bytes)).toEqual(expected);
    },
  );

  it('finds nothing where there is nothing, in any length', async () => {
    for (const length of [0, 1, 511, 512, 4096, 200_000]) expect(await probe(Buffer.alloc(length))).toBeUndefined();
  });

  it('looks only within its partition', async () => {
    const bytes = Buffer.concat([Buffer.alloc(4096), made({ 65600: '_BHRfS_M' })]);
    expect(await probeFileSystem(disk(bytes), 4096, 65_536)).toBeUndefined();
    expect(await probeFileSystem(disk(bytes), 4096, 131_072)).toMatchObject({ type: 'btrfs' });
    expect(await probeFileSystem(disk(bytes), 2 ** 40, 65_536)).toBeUndefined();
  });

  it('survives any damage to what it knows, reading little', async () => {
    for (const [, bytes] of MADE) {
      const marks: number[] = [];
      for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) marks.push(at);
      const step = Math.ceil(marks.length / 40);
      for (const at of marks.filter((_, index) => index % step === 0)) {
        const good = bytes.readUInt16LE(at);
        bytes.writeUInt16LE(0xffff, at);
        const counted = disk(bytes);
        await probeFileSystem(counted, 0, bytes.length);
        expect(counted.taken()).toBeLessThan(300 * 1024);
        bytes.writeUInt16LE(good, at);
      }
    }
  });

  it('keeps control characters out of labels', async () => {
    const bytes = made({ 0: 'XFSB', 108: 'a\x1b[2J' });
    expect((await probe(bytes))?.label).toBe('a?[2J');
  });
});

describe('what the tools of the field make', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'polyvisor-probe-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function tool(size: number, command: string, ...args: string[]): Promise<Buffer> {
    const path = join(folder, 'volume');
    await writeFile(path, '');
    await truncate(path, size);
    execFileSync(command, [...args, path], { stdio: 'pipe' });
    return readFile(path);
  }

  it.skipIf(!available('mkfs.ext4', 'e2fsprogs')).each([
    ['mkfs.ext2', 'ext2'],
    ['mkfs.ext3', 'ext3'],
    ['mkfs.ext4', 'ext4'],
  ])('%s', async (command, type) => {
    const bytes = await tool(8 * 2 ** 20, command, '-q', '-L', 'root', '-U', DASHED);
    expect(await probe(bytes)).toEqual({ type, label: 'root', uuid: DASHED, size: 8 * 2 ** 20 });
  });

  it.skipIf(!available('mkswap', 'util-linux'))('mkswap', async () => {
    const bytes = await tool(2 ** 20, 'mkswap', '-L', 'swappy', '-U', DASHED);
    expect(await probe(bytes)).toEqual({ type: 'swap', label: 'swappy', uuid: DASHED, size: 2 ** 20 });
  });

  it.skipIf(!available('mkfs.fat', 'dosfstools') || !available('mcopy', 'mtools')).each([
    [12, 2],
    [16, 20],
    [32, 40],
  ])('mkfs.fat -F %d, with and without a boot loader in it', async (bits, mebibytes) => {
    const make = () =>
      tool(mebibytes * 2 ** 20, 'mkfs.fat', '-F', String(bits), '-s', '1', '-n', 'ESP', '-i', '1234abcd');
    const bytes = await make();
    expect(await probe(bytes)).toEqual({
      type: `FAT${bits}`,
      label: 'ESP',
      uuid: '1234-ABCD',
      size: mebibytes * 2 ** 20,
    });
    const loader = ['EFI        ', 'BOOT       ', 'BOOTX64 EFI'];
    const has = async (one: Buffer) => hasFile(await volumeAt(disk(one), 0, one.length), loader);
    expect(await has(bytes)).toBe(false);
    const path = join(folder, 'volume');
    const run = (command: string, ...args: string[]) => execFileSync(command, ['-i', path, ...args], { stdio: 'pipe' });
    // More entries than one cluster holds, so that the chain has to be followed.
    run('mmd', ...Array.from({ length: 40 }, (_, index) => `::/DIR${index}`), '::/EFI', '::/EFI/BOOT');
    await writeFile(join(folder, 'loader'), 'MZ');
    run('mcopy', join(folder, 'loader'), '::/EFI/BOOT/BOOTX64.EFI');
    expect(await has(await readFile(path))).toBe(true);
  });
});
