import { memoryFile } from '@polyvisor/testkit';
import { expect, it } from 'vitest';
import { openVhd } from './open.js';
import { footerOf } from './images.test-support.js';

const MiB = 2 ** 20;

// 100 MiB have a geometry that addresses less; only Virtual PC's and QEMU's own disks are shortened to it by QEMU of today.
it.each([
  ['tap\0', 'Xen blktap (tap)', false],
  ['win ', 'Windows, Hyper-V (win)', false],
  ['vpc ', 'Virtual PC (vpc)', true],
  ['vs  ', 'Virtual Server (vs)', false],
  ['vbox', 'VirtualBox (vbox)', false],
  ['qemu', 'QEMU (qemu)', true],
  ['qem2', 'QEMU, exact size (qem2)', false],
  ['wa\0\0', 'Azure (wa)', false],
  ['d2v ', 'Disk2vhd (d2v)', false],
  ['d2v\0', 'Disk2vhd (d2v)', false],
  ['caml', 'xapi (caml)', false],
  ['CTXS', 'Citrix (CTXS)', false],
  ['xo  ', 'Xen Orchestra (xo)', false],
  ['\x1b[2J', '?[2J', false],
])('a disk by %j is by %s, and its size is its size field', async (mark, creator, warned) => {
  const image = Buffer.concat([Buffer.alloc(3 * MiB), footerOf(2, 3 * MiB, [28, 4, mark])]);
  const { disk, facts, warnings } = await openVhd(memoryFile(image));
  expect(facts['creator']).toBe(creator);
  expect(disk.size).toBe(3 * MiB);
  expect(warnings !== undefined).toBe(warned);
});
