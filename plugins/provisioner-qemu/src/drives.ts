import type { MachineSpec } from '@polyvisor/core';
import { type Bus, type Drive, driveDevices } from '@polyvisor/qemu';

/** Name of the block node that is the machine's disk. */
export const DISK_ID = 'disk';

/** Place in the firmware's order of what is started after the network card, which is in it for starts over the network alone. */
const AFTER_NETWORK = 2;

/** Id of the first serial port's other end. */
export const SERIAL_ID = 'serial';

export function mediumId(index: number): string {
  return `medium${index}`;
}

export interface DriveWishes {
  readonly bus: Bus;
  readonly mediaBus: Bus | 'auto';
  /** Whether the firmware may start from the media, in their order, after the disk. */
  readonly mediaStart: boolean;
}

/**
 * Disk and media. What the guest discards, or overwrites with zeros, becomes holes in the image. The guest's flushes are not waited
 * for: its writes are in the image as soon as QEMU has ended, however it ends, and nobody takes a disk after a power cut.
 */
export function driveArguments(spec: MachineSpec, wishes: DriveWishes): string[] {
  const disk = {
    driver: 'raw',
    'node-name': DISK_ID,
    discard: 'unmap',
    'detect-zeroes': 'unmap',
    cache: { direct: false, 'no-flush': true },
    file: { driver: 'file', filename: spec.disk },
  };
  const media = spec.media.map(({ path }, index) => ({
    driver: 'raw',
    'node-name': mediumId(index),
    'read-only': true,
    file: { driver: 'file', filename: path },
  }));
  const drives: Drive[] = [
    // Always in the firmware's order: it makes no other disk known to what it starts.
    { drive: DISK_ID, kind: 'disk', bootIndex: AFTER_NETWORK },
    ...spec.media.map(({ kind }, index): Drive => {
      const drive = { drive: mediumId(index), kind };
      return wishes.mediaStart ? { ...drive, bootIndex: AFTER_NETWORK + 1 + index } : drive;
    }),
  ];
  return [
    ...[disk, ...media].flatMap((node) => ['-blockdev', JSON.stringify(node)]),
    ...driveDevices(wishes.bus, drives, wishes.mediaBus),
  ];
}
