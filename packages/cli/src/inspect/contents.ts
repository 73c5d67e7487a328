import { type DiskSource, errorKind, type Firmware, formatBytes, type PolyvisorError } from '@polyvisor/core';
import { type Allocation, readAllocation } from '../allocation.js';
import { hasFile } from '../filesystems/fat.js';
import { probeFileSystem } from '../filesystems/probe.js';
import { type FileSystem, volumeAt } from '../filesystems/superblock.js';
import { bootCodeOf, type Partition, type PartitionTable, readPartitions } from '../partitions.js';

export interface FoundPartition extends Partition {
  readonly fileSystem?: FileSystem;
}

/** What a disk holds, as far as its first blocks and those of its partitions tell. */
export interface Contents {
  readonly allocation: Allocation;
  readonly table: Omit<PartitionTable, 'partitions'>;
  readonly partitions: readonly FoundPartition[];
  /** Of a disk without partitions. */
  readonly fileSystem?: FileSystem;
  readonly boot: readonly Boot[];
  readonly warnings: readonly string[];
}

/** A firmware under which a disk looks like it boots, and why. */
export interface Boot {
  readonly firmware: Firmware;
  readonly reason: string;
}

/** Partitions whose file systems are looked at. A table may have a thousand, and each costs some reads. */
const MAX_PROBED = 128;

/** The default boot loaders by processor (UEFI §3.5.1.1), as FAT stores their names. */
const LOADERS = ['BOOTX64 EFI', 'BOOTAA64EFI', 'BOOTIA32EFI'];

/** Undefined when the rest of the disk is in a parent that nobody named: then nothing of it can be read. */
export async function readContents(
  disk: DiskSource,
  parts: number,
  signal: AbortSignal,
): Promise<Contents | undefined> {
  try {
    return await readAll(disk, parts, signal);
  } catch (error) {
    if (errorKind(error) === 'format' && (error as PolyvisorError).code === 'parent-missing') return undefined;
    throw error;
  }
}

async function readAll(disk: DiskSource, parts: number, signal: AbortSignal): Promise<Contents> {
  const allocation = await readAllocation(disk, parts, signal);
  const { partitions: entries, ...table } = await readPartitions(disk);
  const partitions: FoundPartition[] = [];
  for (const entry of entries) {
    signal.throwIfAborted();
    const probed = entry.type !== 'extended' && entry.size > 0 && partitions.length < MAX_PROBED;
    const fileSystem = probed ? await probeFileSystem(disk, entry.start, entry.size) : undefined;
    partitions.push(fileSystem === undefined ? entry : { ...entry, fileSystem });
  }
  const whole = entries.length > 0 ? undefined : await probeFileSystem(disk, 0, disk.size);
  return {
    allocation,
    table,
    partitions,
    ...(whole === undefined ? {} : { fileSystem: whole }),
    boot: await bootOf(disk, table.kind, partitions),
    warnings: [
      ...table.problems.map(({ message }) => message),
      ...partitions.flatMap(({ number, size, fileSystem }) => tooLarge(`partition ${number}`, size, fileSystem)),
      ...tooLarge('the disk', disk.size, whole),
    ],
  };
}

function tooLarge(place: string, size: number, fileSystem: FileSystem | undefined): readonly string[] {
  if (fileSystem?.size === undefined || fileSystem.size <= size) return [];
  const { type, size: wanted } = fileSystem;
  return [`the ${type} file system (${formatBytes(wanted)}) is larger than ${place} (${formatBytes(size)})`];
}

async function bootOf(
  disk: DiskSource,
  kind: PartitionTable['kind'],
  partitions: readonly FoundPartition[],
): Promise<readonly Boot[]> {
  const boot: Boot[] = [];
  if (kind !== 'none' && (await bootCodeOf(disk))) {
    const further = partitions.some(({ type }) => type === 'BIOS boot') ? ' and a BIOS boot partition' : '';
    boot.push({ firmware: 'bios', reason: `boot code in the first sector${further}` });
  }
  const system = partitions.find(({ type }) => type === 'EFI system');
  if (system !== undefined) {
    const loader = await loaderOn(disk, system);
    const place = `EFI system partition ${system.number}`;
    boot.push({
      firmware: 'uefi',
      reason: loader === undefined ? `${place}, without EFI/BOOT` : `${loader} on ${place}`,
    });
  }
  return boot;
}

async function loaderOn(disk: DiskSource, { start, size }: Partition): Promise<string | undefined> {
  if (start + size > disk.size) return undefined;
  const volume = await volumeAt(disk, start, size);
  for (const loader of LOADERS) {
    if (await hasFile(volume, ['EFI        ', 'BOOT       ', loader]))
      return `EFI/BOOT/${loader.slice(0, 8).trim()}.${loader.slice(8)}`;
  }
  return undefined;
}
