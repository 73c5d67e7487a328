import {
  accepts,
  describeConverter,
  job,
  memoryDisk,
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
  variants: { fixed: { subformat: 'fixed' }, 'dynamic, no holes': { sparse: 'never' } },
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
