import { type DiskSource, GuestError, isZero } from '@polyvisor/core';
import type { Run } from './run.js';

/** Whatever can be started has something in its first 64 KiB. */
const LOOKED_AT = 64 * 1024;

/** An installer that ended without having put anything on the disk has not installed anything. */
export async function refuseEmptyDisk({ job, capabilities }: Run, path: string): Promise<void> {
  await using disk: DiskSource = await job.images.open(path, capabilities.diskFormat);
  const start = new Uint8Array(Math.min(LOOKED_AT, disk.size));
  await disk.read(start, 0);
  if (!isZero(start)) return;
  throw new GuestError('install-left-nothing', 'the installer ended, and the disk is as empty as before', {
    hint: 'the serial log and the last screen show what the installer did; most often it gave up, or found no disk',
  });
}
