import {
  accepts,
  describeConverter,
  job,
  memoryDisk,
  memoryFile,
  memorySink,
  noise,
  qemuImgCompare,
  qemuImgSize,
  vboxManageReads,
  write,
} from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { hypervVhd } from './hyperv-vhd.js';

const MiB = 2 ** 20;

// Not among the variants: `azure`, which would really store the suite's disks of 1 GiB. Below it is shown to be the
// fixed disk, byte for byte.
describeConverter(hypervVhd, {
  variants: {
    fixed: { subformat: 'fixed' },
    'dynamic, no holes': { sparse: 'never' },
    'small blocks': { block: '512k' },
  },
  oracles: [
    qemuImgCompare('vpc'),
    qemuImgSize('vpc'),
    vboxManageReads('VHD'),
    accepts(
      'vhdiinfo',
      'libvhdi-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Media size\\s*: .*\\(${size} bytes\\)`),
    ),
  ],
});

/** Writes a disk of an odd size; `stored` counts the bytes that were really written. */
async function convert(options: Readonly<Record<string, unknown>>) {
  let stored = 0;
  const sink = memorySink({ beforeWrite: (_, length) => void (stored += length) });
  const disk = memoryDisk(9 * MiB + 512, [{ offset: 3 * MiB, bytes: noise(1 * MiB) }]);
  const { writer } = await write(hypervVhd, disk, options, sink);
  return { image: Buffer.from(sink.bytes()), size: writer.size, stored };
}

describe('what Hyper-V expects', () => {
  it('is the mark of Windows, and a size of whole MiB', async () => {
    const { image, size } = await convert({});
    expect(size).toBe(10 * MiB);
    expect(image.subarray(-512).equals(image.subarray(0, 512))).toBe(true);
    const footer = image.subarray(-512);
    expect(footer.toString('latin1', 28, 40)).toBe('win \0\u000a\0\0Wi2k');
    expect(footer.readUInt32BE(60)).toBe(3);
  });

  it('is no batmap, which is not of its dialect', async () => {
    const { image } = await convert({});
    expect(image.includes('tdbatmap')).toBe(false);
  });
});

describe('what Azure expects', () => {
  it('is the fixed disk, every byte of it stored, and a footer', async () => {
    const azure = await convert({ azure: true });
    expect(azure.image.length).toBe(10 * MiB + 512);
    expect(azure.stored).toBe(azure.image.length);
    expect(azure.image.readUInt32BE(10 * MiB + 60)).toBe(2);
    expect(azure.image.equals((await convert({ subformat: 'fixed' })).image)).toBe(true);
  });

  it('may have holes when that is asked for', async () => {
    expect((await convert({ azure: true, sparse: 'auto' })).stored).toBe(1 * MiB + 512);
    expect((await convert({ subformat: 'fixed' })).stored).toBe(1 * MiB + 512);
    expect((await convert({ subformat: 'fixed', sparse: 'never' })).stored).toBe(10 * MiB + 512);
  });

  it('is not a dynamic disk', async () => {
    const options = { azure: true, subformat: 'dynamic' };
    await expect(hypervVhd.create(job(MiB, memorySink(), options))).rejects.toMatchObject({
      code: 'options-invalid',
      message: expect.stringContaining('Azure takes only fixed disks'),
    });
    expect((await convert({ azure: true, subformat: 'fixed' })).image.length).toBe(10 * MiB + 512);
  });
});

describe('what users may ask for', () => {
  it('is a creator, its version, a unique id and a block size', async () => {
    const { image } = await convert({
      creator: 'vbox',
      version: 6.3,
      uuid: '0A0B0C0D-0E0F-4001-8203-040506070809',
      block: '1M',
    });
    const footer = image.subarray(-512);
    expect(footer.toString('latin1', 28, 36)).toBe('vbox\0\u0006\0\u0003');
    expect(footer.toString('hex', 68, 84)).toBe('0a0b0c0d0e0f40018203040506070809');
    expect(image.readUInt32BE(512 + 32)).toBe(1 * MiB);
    expect(image.readUInt32BE(512 + 28)).toBe(10);
    // Of ten blocks only the fourth is stored, with a bit for each of its 2048 sectors.
    const table = Array.from({ length: 10 }, (_, block) => image.readUInt32BE(1536 + block * 4));
    expect(table.filter((sector) => sector !== 0xffff_ffff)).toEqual([table[3]]);
    const bitmap = image.subarray((table[3] ?? 0) * 512, (table[3] ?? 0) * 512 + 512);
    expect(bitmap.equals(Buffer.alloc(512).fill(0xff, 0, 256))).toBe(true);
  });

  it.each([
    { block: '4M' },
    { block: '3k' },
    { creator: 'vpc' },
    { version: '70000.1' },
    { version: 'new' },
    { uuid: 'x' },
  ])('is not %j', async (options) => {
    await expect(hypervVhd.create(job(MiB, memorySink(), options))).rejects.toMatchObject({ code: 'options-invalid' });
  });

  it('is written front to back when it is fixed', async () => {
    const fixed = await hypervVhd.create(job(MiB, memorySink(), { subformat: 'fixed' }));
    const dynamic = await hypervVhd.create(job(MiB, memorySink(), {}));
    expect(fixed.order).toBe('append');
    expect(dynamic.order ?? hypervVhd.capabilities.order).toBe('random');
  });

  it('has no findings, for Hyper-V, VirtualBox, KVM and, when it is fixed, Azure', async () => {
    const { signal } = new AbortController();
    const now = 1_800_000_000;
    const findings = async (options: Readonly<Record<string, unknown>>, consumer?: string) => {
      const { image } = await convert(options);
      const found: string[] = [];
      const check = hypervVhd.check?.(memoryFile(image), { signal, now, ...(consumer && { consumer }) }) ?? [];
      for await (const { rule } of check) found.push(rule);
      return found;
    };
    for (const consumer of [undefined, 'hyperv', 'virtualbox', 'kvm', 'xenserver']) {
      for (const options of [{}, { block: '512k' }, { subformat: 'fixed' }])
        expect(await findings(options, consumer)).toEqual([]);
    }
    expect(await findings({ azure: true }, 'azure')).toEqual([]);
    expect(await findings({}, 'azure')).toEqual(['vhd-azure-fixed']);
  });
});
