import {
  accepts,
  describeConverter,
  memoryDisk,
  noise,
  qemuImgCompare,
  qemuImgSize,
  vboxManageReads,
  write,
} from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { xenVhd } from './xen-vhd.js';

const MiB = 2 ** 20;

describeConverter(xenVhd, {
  oracles: [
    qemuImgCompare('vpc'),
    qemuImgSize('vpc'),
    vboxManageReads('VHD'),
    accepts(
      'vhdiinfo',
      'libvhdi-utils',
      ({ image }) => [image],
      ({ size }) => new RegExp(`Disk type\\s*: Dynamic\n\\s*Media size\\s*: .*\\(${size} bytes\\)`),
    ),
  ],
});

describe('what blktap expects', () => {
  it('of an empty disk of 100 MiB is 3584 bytes, as vhd-util makes it', async () => {
    const { sink } = await write(xenVhd, memoryDisk(100 * MiB, []), {});
    const image = Buffer.from(sink.bytes());
    expect(image.length).toBe(3584);
    const footer = image.subarray(0, 512);
    expect(footer.subarray(24, 64).toString('hex')).toBe(
      '00000000' + '74617000' + '00010003' + '00000000' + '0000000006400000'.repeat(2) + '03eb0c11' + '00000003',
    );
    expect(image.subarray(-512).equals(footer)).toBe(true);
    expect(image.toString('latin1', 512, 520)).toBe('cxsparse');
    expect(image.subarray(1536, 2048).every((byte) => byte === 0xff)).toBe(true);
    expect(image.toString('latin1', 2048, 2056)).toBe('tdbatmap');
    expect(image.readUInt32BE(2048 + 24)).toBe(0xffff_ffff);
    expect(image.subarray(2560, 3072).every((byte) => byte === 0)).toBe(true);
  });

  it('is a size of whole blocks', async () => {
    const { writer } = await write(xenVhd, memoryDisk(37 * MiB + 5 * 512, []), {});
    expect(writer.size).toBe(38 * MiB);
  });

  it('is data on pages, with every bit of the bitmaps set', async () => {
    const bytes = noise(5 * MiB);
    const { sink } = await write(xenVhd, memoryDisk(8 * MiB, [{ offset: 0, bytes }]), {});
    const image = Buffer.from(sink.bytes());
    const sectors = [0, 1, 2].map((block) => image.readUInt32BE(1536 + block * 4));
    expect(sectors).toEqual([7, 7 + 4096 + 8, 7 + 2 * (4096 + 8)]);
    for (const sector of sectors) {
      expect(image.subarray(sector * 512, (sector + 1) * 512).every((byte) => byte === 0xff)).toBe(true);
    }
  });
});
