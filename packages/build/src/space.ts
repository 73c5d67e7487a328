import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { EnvironmentError, formatBytes } from '@polyvisor/core';

/** Bytes that a directory, which need not exist yet, will take. */
export interface SpaceNeed {
  readonly directory: string;
  readonly bytes: number;
  /** For the message: `the work directory`. */
  readonly what: string;
  /** What to do when there is too little. */
  readonly hint: string;
}

/** Directories on one file system share its space, so their needs are added up. Returns a problem for each file system that is too small. */
export async function checkSpace(
  needs: readonly SpaceNeed[],
  freeBytes: (directory: string) => Promise<number> = freeSpace,
): Promise<readonly EnvironmentError[]> {
  const devices = new Map<number, { directory: string; needs: SpaceNeed[] }>();
  for (const need of needs) {
    const { directory, device } = await nearest(need.directory);
    const known = devices.get(device);
    if (known === undefined) devices.set(device, { directory, needs: [need] });
    else known.needs.push(need);
  }
  const problems: EnvironmentError[] = [];
  for (const { directory, needs: together } of devices.values()) {
    const wanted = together.reduce((sum, { bytes }) => sum + bytes, 0);
    const free = await freeBytes(directory);
    if (free >= wanted) continue;
    const list = together
      .map(({ what, directory: where, bytes }) => `${what} ${where} ${formatBytes(bytes)}`)
      .join(', ');
    problems.push(
      new EnvironmentError(
        'space-missing',
        `the file system of ${directory} has ${formatBytes(free)} free, the build needs up to ${formatBytes(wanted)} (${list})`,
        {
          hint: `free some space, or ${together.map(({ hint }) => hint).join(', or ')}`,
        },
      ),
    );
  }
  return problems;
}

async function freeSpace(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** The directory itself, or the nearest one above it that exists. */
async function nearest(directory: string): Promise<{ directory: string; device: number }> {
  for (let path = resolve(directory); ; path = dirname(path)) {
    const stats = await stat(path).catch(() => undefined);
    if (stats !== undefined) return { directory: path, device: stats.dev };
    if (path === dirname(path)) throw new EnvironmentError('file-missing', `no directory above ${directory} exists`);
  }
}
