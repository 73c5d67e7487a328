import { errorKind } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { embedGrub } from './grub-bios.js';

const partition = { firstSector: 2048, sectors: 2048 };

function bootImage(): Uint8Array {
  const image = new Uint8Array(512).fill(0x11);
  image.set([0x55, 0xaa], 510);
  return image;
}

describe("GRUB's BIOS boot code", () => {
  it('is told where the core image starts, to trust the BIOS, and keeps the rest', () => {
    const { bootCode } = embedGrub(bootImage(), new Uint8Array(5000), partition);
    expect(bootCode).toHaveLength(440);
    const view = new DataView(bootCode.buffer, bootCode.byteOffset);
    expect(view.getBigUint64(0x5c, true)).toBe(2048n);
    expect(bootCode[0x64]).toBe(0xff);
    expect([...bootCode.subarray(0x65, 0x69)]).toEqual([0x11, 0x90, 0x90, 0x11]);
  });

  it('loads the rest of the core image from the sectors after its first', () => {
    const { core } = embedGrub(bootImage(), new Uint8Array(5000), partition);
    expect(core).toHaveLength(5120);
    const view = new DataView(core.buffer);
    expect([view.getBigUint64(500, true), view.getUint16(508, true), view.getUint16(510, true)]).toEqual([
      2049n,
      9,
      0x820,
    ]);
  });

  it.each([
    ['a boot image that is none', new Uint8Array(512), new Uint8Array(5000)],
    ['a core image that is too large', bootImage(), new Uint8Array(2049 * 512)],
    ['a core image that is cut off', bootImage(), new Uint8Array(512)],
  ])('refuses %s', (_, boot, core) => {
    expect(() => embedGrub(boot, core, partition)).toThrow(
      expect.toSatisfy((error) => errorKind(error) === 'format') as Error,
    );
  });
});
