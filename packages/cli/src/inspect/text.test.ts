import type { DiskSource, OpenImage } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { readContents } from './contents.js';
import { type Inspection, inspectionText } from './text.js';

const signal = new AbortController().signal;

function disk(bytes: Buffer): DiskSource {
  return {
    size: bytes.length,
    async *extents() {
      await Promise.resolve();
      yield { offset: 0, length: bytes.length };
    },
    read: (into, offset) => Promise.resolve(void bytes.copy(into, 0, offset)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function inspection(opened: OpenImage, more: Partial<Inspection> = {}): Promise<Inspection> {
  return {
    path: 'disk.fake',
    format: 'fake',
    summary: 'A made-up format',
    fileSize: 1000,
    stored: 4096,
    opened,
    contents: await readContents(opened.disk, 64, signal),
    warnings: [],
    ...more,
  };
}

it('tells facts, identities, snapshots, the parent and all disks', async () => {
  const text = inspectionText(
    await inspection({
      disk: disk(Buffer.alloc(4096)),
      facts: { creator: 'vbox 7.0', geometry: '4/4/17' },
      linkId: 'me-1',
      parent: { names: ['..\\base.vhd', '/etc/passwd\nx'], linkId: 'them-1' },
      snapshots: [
        { id: '1', name: 'before', time: 1_700_000_000 },
        { id: '2', name: 'after', time: Number.MAX_VALUE },
      ],
      disks: [
        { name: 'one', size: 4096 },
        { name: 'two', size: 512 },
      ],
    }),
    80,
  );
  expect(text.split('\n')).toEqual(
    expect.arrayContaining([
      'format                 fake: A made-up format',
      'creator                vbox 7.0',
      'geometry               4/4/17',
      'identity for children  me-1',
      String.raw`parent                 not given; in the file it is "..\\base.vhd" or "/etc/passwd\nx", with the identity them-1`,
      'snapshots              "before" (1, 2023-11-14T22:13:20Z)',
      '                       "after" (2)',
      'disks                  1: "one", 4.00 KiB (4096 bytes)',
      '                       2: "two", 512 B (512 bytes)',
      'partitions             no partition table',
    ]) as string[],
  );
});

it('shows partitions with their file systems, the firmware, and what does not fit', async () => {
  const bytes = Buffer.alloc(2 ** 20);
  bytes[0] = 0xeb;
  bytes.writeUInt16LE(0xaa55, 510);
  bytes.writeUInt32LE(0xdeadbeef, 440);
  bytes[446] = 0x80;
  for (const [index, [type, start, sectors]] of [
    [0x83, 8, 800],
    [0xef, 900, 8],
    [0x07, 1000, 5000],
  ].entries()) {
    bytes[446 + 16 * index + 4] = type ?? 0;
    bytes.writeUInt32LE(start ?? 0, 446 + 16 * index + 8);
    bytes.writeUInt32LE(sectors ?? 0, 446 + 16 * index + 12);
  }
  bytes.write('XFSB', 8 * 512);
  bytes.writeUInt32BE(4096, 8 * 512 + 4);
  bytes.writeBigUInt64BE(256n, 8 * 512 + 8);
  bytes.write('0123456789abcdef0123456789abcdef', 8 * 512 + 32, 'hex');
  bytes.write('data', 8 * 512 + 108);
  const opened = { disk: disk(bytes), facts: {} };
  const contents = await readContents(opened.disk, 64, signal);
  expect(contents?.warnings).toEqual([
    'partition 3 does not lie on the disk: it ends at byte 3072000 of 1048576',
    'the xfs file system (1.00 MiB) is larger than partition 1 (400.0 KiB)',
  ]);
  const text = inspectionText(await inspection(opened, { warnings: ['watch out'] }), 80);
  expect(text).toMatch(/^partitions +MBR deadbeef$/m);
  expect(text).toMatch(
    /^boots under +bios: boot code in the first sector\n +uefi: EFI system partition 2, without EFI\/BOOT$/m,
  );
  expect(text).toMatch(
    /^1 +4096 +400.0 KiB +Linux \(boot\) +xfs 1.00 MiB +data +01234567-89ab-cdef-0123-456789abcdef$/m,
  );
  expect(text).toMatch(/^ +0 █+$/m);
  expect(text.split('\n').at(-1)).toBe('warning: watch out');
});

it('knows the file system of a disk without partitions', async () => {
  const bytes = Buffer.alloc(2 ** 17);
  bytes.write('hsqs');
  bytes.writeBigUInt64LE(1000n, 40);
  expect(inspectionText(await inspection({ disk: disk(bytes), facts: {} }), 80)).toMatch(/^file system +squashfs$/m);
});

it('survives hostile tables', async () => {
  const bytes = Buffer.alloc(65_536, 0xff);
  bytes.writeUInt16LE(0xaa55, 510);
  for (const at of [446, 462, 478, 494]) bytes[at] = 0;
  expect((await readContents(disk(bytes), 64, signal))?.warnings).toHaveLength(4);
});
