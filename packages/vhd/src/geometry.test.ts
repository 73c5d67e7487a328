import { expect, it } from 'vitest';
import { geometryOf } from './geometry.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

// What blktap's vhd-util computes, and for the boundaries what the specification's text does.
it.each([
  ['2 MiB', 2 * MiB, '60/4/17'],
  ['32 MiB', 32 * MiB, '963/4/17'],
  ['64 MiB', 64 * MiB, '963/8/17'],
  ['100 MiB', 100 * MiB, '1003/12/17'],
  ['256 MiB', 256 * MiB, '520/16/63'],
  ['504 MiB', 504 * MiB, '1024/16/63'],
  ['1 GiB', GiB, '2080/16/63'],
  ['8 GiB', 8 * GiB, '16644/16/63'],
  ['30 GiB', 30 * GiB, '62415/16/63'],
  ['a sector below 65535*16*63 sectors', 33_822_351_360 - 512, '65534/16/63'],
  ['65535*16*63 sectors', 33_822_351_360, '16191/16/255'],
  ['40 GiB', 40 * GiB, '20560/16/255'],
  ['127 GiB', 127 * GiB, '65278/16/255'],
  ['65535*16*255 sectors, the largest geometry', 136_899_993_600, '65535/16/255'],
  ['128 GiB', 128 * GiB, '65535/16/255'],
  ['2040 GiB', 2040 * GiB, '65535/16/255'],
  // 17 sectors a track reach up to 1023 cylinders of 16 heads; 31 up to 16383 tracks; then 63.
  ['a sector below 17*16*1024 sectors', (17 * 16 * 1024 - 1) * 512, '1023/16/17'],
  ['17*16*1024 sectors', 17 * 16 * 1024 * 512, '561/16/31'],
  ['a sector below 31*16*1024 sectors', (31 * 16 * 1024 - 1) * 512, '1023/16/31'],
  ['31*16*1024 sectors', 31 * 16 * 1024 * 512, '503/16/63'],
  ['one sector', 512, '0/4/17'],
])('of %s is as vhd-util has it', (_, size, expected) => {
  const { cylinders, heads, sectorsPerTrack } = geometryOf(size);
  expect(`${cylinders}/${heads}/${sectorsPerTrack}`).toBe(expected);
  expect(cylinders * heads * sectorsPerTrack * 512).toBeLessThanOrEqual(size);
});
