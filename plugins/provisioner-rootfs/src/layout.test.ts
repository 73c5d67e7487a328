import { createIdentity, errorKind } from '@polyvisor/core';
import { sampleAppliance } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { fstab } from './guest-files.js';
import { partitionOf, planLayout } from './layout.js';

const MIB = 2 ** 20;
const identity = createIdentity('layout');
const appliance = {
  ...sampleAppliance,
  disk: {
    size: 2048 * MIB,
    partitions: [
      { label: 'boot', filesystem: 'ext4', mount: '/boot', size: 256 * MIB },
      { label: 'swap', filesystem: 'swap', size: 128 * MIB },
      { label: 'root', filesystem: 'ext4', mount: '/' },
    ],
  },
} as const;

describe('the layout of the disk', () => {
  it('puts partitions one after the other, on whole MiB, and gives the rest to one', () => {
    const { partitions } = planLayout(appliance, identity);
    expect(partitions.map(({ offset, length, grows }) => [offset / MIB, length / MIB, grows])).toEqual([
      [66, 256, false],
      [322, 128, false],
      [450, 1597, true],
    ]);
  });

  it('skips the numbers of the boot partitions', () => {
    const many = Array.from({ length: 15 }, (_, n) => ({ label: `p${n}`, filesystem: 'swap', size: MIB }) as const);
    const { table } = planLayout(
      {
        ...appliance,
        disk: { size: 2048 * MIB, partitions: [...many, { label: 'root', filesystem: 'ext4', mount: '/' }] },
      },
      identity,
    );
    expect(new Set(table.map(({ number }) => number)).size).toBe(18);
    expect(table.at(-1)?.number).toBe(18);
  });

  it('refuses a disk that is too small, with the size that would do', () => {
    const tiny = { ...appliance, disk: { ...appliance.disk, size: 400 * MIB } };
    expect(() => planLayout(tiny, identity)).toThrow(
      expect.toSatisfy(
        (error) => errorKind(error) === 'definition' && (error as { hint: string }).hint.includes('467M'),
      ) as Error,
    );
  });

  it('knows which file system holds a path', () => {
    const layout = planLayout(appliance, identity);
    expect(partitionOf(layout, '/boot/grub').label).toBe('boot');
    expect(partitionOf(layout, '/bootstrap').label).toBe('root');
  });

  it('is mounted by UUID, never by the name of a device', () => {
    const layout = planLayout(appliance, identity);
    const lines = fstab(layout).trim().split('\n');
    expect(lines).toHaveLength(4);
    expect(lines.every((line) => /^UUID=\S+ /.test(line))).toBe(true);
    expect(lines[2]).toContain('/ ext4 errors=remount-ro,x-systemd.growfs 0 1');
  });

  it('depends on the seed and on nothing else', () => {
    expect(planLayout(appliance, identity)).toEqual(planLayout(appliance, createIdentity('layout')));
    expect(planLayout(appliance, identity).diskGuid).not.toBe(planLayout(appliance, createIdentity('x')).diskGuid);
  });
});
