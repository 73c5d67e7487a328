import { type Appliance, DefinitionError, formatBytes, type Identity, type Partition } from '@polyvisor/core';
import { type GptPartition, PARTITION_TYPE } from './gpt.js';

const SECTOR = 512;
const MIB = 1024 * 1024;
/** GRUB's core image takes some 100 KiB; a whole MiB keeps everything after it aligned. */
const BIOS_BOOT_BYTES = MIB;
/** FAT32 needs 65 525 clusters, 33 MiB of single sectors; the rest leaves room for a second generation of boot loaders. */
const ESP_BYTES = 64 * MIB;
/** ext4 with its journal is of little use below. */
const SMALLEST_FILESYSTEM = 16 * MIB;

/** Numbers that Debian's own images give the boot partitions, so that the system's own ones count from 1. */
const BIOS_BOOT_NUMBER = 14;
const ESP_NUMBER = 15;

/** A file system or swap area with its place on the disk. */
export interface PlacedPartition extends Partition {
  readonly uuid: string;
  /** In bytes from the start of the disk. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  /** Takes what the others leave, so it can grow with the disk. */
  readonly grows: boolean;
}

export interface Layout {
  readonly sectors: number;
  readonly diskGuid: string;
  readonly biosBoot: GptPartition;
  readonly esp: GptPartition & { readonly volumeId: string };
  readonly partitions: readonly PlacedPartition[];
  /** All partitions, for the table. */
  readonly table: readonly GptPartition[];
}

/**
 * Places every partition on a multiple of 1 MiB: boot code, EFI system partition, then those of the definition in its
 * order. The last MiB is left to the backup table.
 */
export function planLayout(appliance: Appliance, identity: Identity): Layout {
  const { size, partitions } = appliance.disk;
  const efiStart = MIB + BIOS_BOOT_BYTES;
  const start = efiStart + ESP_BYTES;
  const available = size - MIB - start;
  const fixed = partitions.reduce((sum, partition) => sum + (partition.size ?? 0), 0);
  const rest = Math.floor((available - fixed) / MIB) * MIB;
  const open = partitions.filter((partition) => partition.size === undefined).length;
  const needed = fixed + open * SMALLEST_FILESYSTEM;
  if (needed > available) {
    throw new DefinitionError(
      'disk-too-small',
      `the partitions need ${formatBytes(needed)}, the disk of ${formatBytes(size)} has ${formatBytes(Math.max(0, available))} for them`,
      {
        hint: `set disk.size to at least ${Math.ceil((needed + start + MIB) / MIB)}M; the boot loaders take 67 MiB of it`,
      },
    );
  }

  const table: GptPartition[] = [];
  const add = (number: number, type: string, name: string, offset: number, length: number): GptPartition => {
    const partition = {
      number,
      type,
      name,
      guid: identity.uuid(`partition ${number}`),
      firstSector: offset / SECTOR,
      lastSector: (offset + length) / SECTOR - 1,
    };
    table.push(partition);
    return partition;
  };
  const biosBoot = add(BIOS_BOOT_NUMBER, PARTITION_TYPE.biosBoot, 'BIOS boot', MIB, BIOS_BOOT_BYTES);
  const esp = add(ESP_NUMBER, PARTITION_TYPE.efiSystem, 'EFI system', efiStart, ESP_BYTES);
  let offset = start;
  let number = 0;
  const placed = partitions.map((partition): PlacedPartition => {
    do number++;
    while (number === BIOS_BOOT_NUMBER || number === ESP_NUMBER);
    const length = partition.size ?? rest;
    const entry = add(number, typeOf(partition), partition.label, offset, length);
    offset += length;
    return {
      ...partition,
      uuid: identity.uuid(`filesystem ${partition.label}`),
      offset: entry.firstSector * SECTOR,
      length,
      grows: partition.size === undefined,
    };
  });
  return {
    sectors: size / SECTOR,
    diskGuid: identity.uuid('disk'),
    biosBoot,
    esp: { ...esp, volumeId: Buffer.from(identity.bytes('esp', 4)).toString('hex') },
    partitions: placed,
    table,
  };
}

/** The file system that holds a path of the guest. */
export function partitionOf(layout: Layout, path: string): PlacedPartition {
  const holders = layout.partitions.filter(
    ({ mount }) => mount !== undefined && (mount === '/' || path === mount || path.startsWith(`${mount}/`)),
  );
  const deepest = holders.reduce<PlacedPartition | undefined>(
    (best, next) => ((next.mount ?? '').length > (best?.mount ?? '').length ? next : best),
    undefined,
  );
  if (deepest === undefined) {
    throw new DefinitionError('no-root-partition', 'no partition of the disk is mounted on /', {
      hint: 'give one partition `mount: /`',
    });
  }
  return deepest;
}

function typeOf({ filesystem, mount }: Partition): string {
  if (filesystem === 'swap') return PARTITION_TYPE.swap;
  return mount === '/' ? PARTITION_TYPE.rootX86 : PARTITION_TYPE.linux;
}
