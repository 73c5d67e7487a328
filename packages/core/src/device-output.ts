import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes } from './bytes.js';
import type { DiskSink, ImageFile } from './disk.js';
import { DefinitionError, EnvironmentError } from './errors.js';
import { blockDeviceSize, deviceNumber, fileSource, windowOf } from './file.js';
import { filledSink } from './filled-sink.js';
import { ioError } from './io-error.js';
import { writeAll } from './write-all.js';

/** What is known of a block device before anything is written to it. */
export interface DeviceFacts {
  /** In bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Who uses it: mount points, swap, device mapper and RAID above it. */
  readonly users: readonly string[];
}

/** The system's side of devices; tests give another one. */
export interface DeviceLayer {
  facts(path: string): Promise<DeviceFacts>;
  open(path: string): Promise<FileHandle>;
}

/** A block device that is written in place. Nothing can be taken back. */
export interface DeviceOutput {
  readonly path: string;
  readonly sink: DiskSink;
  /** In bytes. */
  readonly size: number;
  close(): Promise<void>;
  /** What was written, for reading. The caller disposes it. */
  read(): Promise<ImageFile>;
}

/** Opens a device for writing. Refuses one that is too small for the disk, is in use or cannot be written. */
export async function openDevice(
  path: string,
  diskSize: number,
  force: boolean,
  layer: DeviceLayer = system,
): Promise<DeviceOutput> {
  if (!force) {
    throw new DefinitionError('output-exists', `${path} is a block device, all that it holds would be overwritten`, {
      hint: 'say that this is wanted with --force',
    });
  }
  let handle: FileHandle;
  let facts: DeviceFacts;
  try {
    facts = await layer.facts(path);
    refuseUnusable(path, facts, diskSize);
    handle = await layer.open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') throw inUse(path, ['the kernel']);
    throw ioError(error, `cannot open ${path} for writing`);
  }
  let length = 0;
  let closed = false;
  return {
    path,
    size: facts.size,
    sink: filledSink({
      write: async (bytes, offset) => {
        if (offset + bytes.length > facts.size)
          throw tooSmall(path, facts.size, `${offset + bytes.length} bytes or more`);
        await writeAll(handle, bytes, offset, path);
      },
      end: (size) => {
        length = size;
        return Promise.resolve();
      },
    }),
    close: async () => {
      if (closed) return;
      closed = true;
      try {
        await handle.sync();
      } catch (error) {
        throw ioError(error, `cannot flush ${path}`);
      } finally {
        await handle.close();
      }
    },
    read: async () => {
      const file = fileSource(await open(path, 'r'), path, facts.size);
      return { ...windowOf(file, 0, length), [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
    },
  };
}

function refuseUnusable(path: string, { size, readOnly, users }: DeviceFacts, diskSize: number): void {
  if (users.length > 0) throw inUse(path, users);
  if (readOnly) {
    throw new EnvironmentError('not-writable', `cannot write to ${path}: the device is read-only`, {
      hint: 'choose another device',
    });
  }
  if (diskSize > size) throw tooSmall(path, size, `a disk of ${diskSize} bytes`);
}

function inUse(path: string, users: readonly string[]): EnvironmentError {
  return new EnvironmentError('device-in-use', `${path} is in use by ${users.join(', ')}`, {
    hint: 'unmount it and all its partitions first, or choose another device',
  });
}

function tooSmall(path: string, size: number, wanted: string): DefinitionError {
  return new DefinitionError(
    'device-too-small',
    `${path} has ${size} bytes (${formatBytes(size)}), wanted is room for ${wanted}`,
    {
      hint: 'choose a larger device, or write to a file',
    },
  );
}

/** Linux: /sys and /proc tell; where they are missing, only the kernel's own refusal is left. */
const system: DeviceLayer = {
  facts: async (path) => {
    const { rdev } = await stat(path);
    const number = deviceNumber(rdev);
    const folder = join('/sys/dev/block', number);
    const numbers = new Map([[number, path]]);
    for (const name of await readdir(folder).catch(() => [])) {
      const part = (await text(join(folder, name, 'dev'))).trim();
      if (/^\d+:\d+$/.test(part)) numbers.set(part, name);
    }
    const users: string[] = [];
    for (const one of numbers.keys())
      users.push(...(await readdir(join('/sys/dev/block', one, 'holders')).catch(() => [])));
    for (const line of (await text('/proc/self/mountinfo')).split('\n')) {
      // proc(5): the third field is the device, the fifth the mount point.
      const [, , device = '', , place = ''] = line.split(' ');
      if (numbers.has(device)) users.push(`the mount on ${place}`);
    }
    for (const line of (await text('/proc/swaps')).split('\n').slice(1)) {
      const swap = line.split(/\s/)[0] ?? '';
      const stats = swap === '' ? undefined : await stat(swap).catch(() => undefined);
      if (stats?.isBlockDevice() === true && numbers.has(deviceNumber(stats.rdev))) users.push('swap');
    }
    const readOnly = (await text(join(folder, 'ro'))).trim() === '1';
    const handle = await open(path, 'r');
    try {
      return { size: await blockDeviceSize(handle), readOnly, users: [...new Set(users)] };
    } finally {
      await handle.close();
    }
  },
  // Without CREAT, EXCL on a block device has the kernel refuse one that is in use (open(2)).
  open: (path) => open(path, constants.O_RDWR | constants.O_EXCL),
};

async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
