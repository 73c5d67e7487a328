import type { Identity } from '@polyvisor/core';
import { SECTOR } from './layout.js';

/** Kind of controller that a VMDK is said to be for. Only a hint: the machine's configuration decides. */
export type AdapterType = 'ide' | 'lsilogic' | 'buslogic' | 'legacyESX' | 'pvscsi';

export type CreateType =
  'streamOptimized' | 'monolithicSparse' | 'monolithicFlat' | 'twoGbMaxExtentSparse' | 'twoGbMaxExtentFlat' | 'vmfs';

/**
 * Sectors reserved for the descriptor. VirtualBox adds lines of its own when a disk is attached, so a tight fit would
 * have it write over what follows.
 */
export const DESCRIPTOR_SECTORS = 20;

/** "Unmanaged": what the guest has comes from its distribution (open-vm-tools), the host must not update it. */
export const TOOLS_UNMANAGED = 2_147_483_647;

export interface DescriptorOptions {
  /** In sectors. */
  readonly capacity: number;
  readonly adapterType: AdapterType;
  readonly hardwareVersion: number;
  readonly identity: Identity;
  readonly createType?: CreateType;
  /** Lines of the extents. Absent: that of a stream, which names nothing that anybody opens. */
  readonly extents?: readonly string[];
  /** Eight hexadecimal digits; from the identity when absent. */
  readonly contentId?: string | undefined;
  /** Written as `ddb.uuid`, in VMware's notation; left out when absent, as VMware's own exports do. */
  readonly uuid?: string | undefined;
  readonly toolsVersion?: number;
}

/** The text that describes a disk. Only names of files may be other than ASCII. */
export function descriptorText(options: DescriptorOptions): string {
  const { capacity, adapterType, hardwareVersion, createType = 'streamOptimized', uuid } = options;
  // A name is obligatory and nobody reads it; a constant keeps the file independent of what it is called.
  const extents = options.extents ?? [`RDONLY ${capacity} SPARSE "generated-stream.vmdk"`];
  const contentId = contentIdOf(options);
  const { cylinders, heads, sectors } = geometryOf(capacity, adapterType);
  return [
    '# Disk DescriptorFile',
    'version=1',
    ...(extents.some((line) => !/^[\x20-\x7e]*$/.test(line)) ? ['encoding="UTF-8"'] : []),
    `CID=${contentId.slice(-8)}`,
    'parentCID=ffffffff',
    'isNativeSnapshot="no"',
    `createType="${createType}"`,
    '',
    '# Extent description',
    ...extents,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    `ddb.adapterType = "${adapterType}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${sectors}"`,
    `ddb.longContentID = "${contentId}"`,
    'ddb.toolsInstallType = "4"',
    `ddb.toolsVersion = "${options.toolsVersion ?? TOOLS_UNMANAGED}"`,
    ...(uuid === undefined ? [] : [`ddb.uuid = "${vmwareUuid(uuid)}"`]),
    `ddb.virtualHWVersion = "${hardwareVersion}"`,
    '',
  ].join('\n');
}

/** The text of a disk in one file, padded with zero bytes to its reserved sectors. */
export function encodeDescriptor(options: DescriptorOptions): Buffer {
  const padded = Buffer.alloc(DESCRIPTOR_SECTORS * SECTOR);
  padded.write(descriptorText(options), 'utf8');
  return padded;
}

/** VMware writes a UUID as sixteen bytes with blanks, and a dash in the middle. */
function vmwareUuid(uuid: string): string {
  const bytes = uuid.replaceAll('-', '').toLowerCase().match(/../g) ?? [];
  return `${bytes.slice(0, 8).join(' ')}-${bytes.slice(8).join(' ')}`;
}

/** 32 hexadecimal digits; the last eight are the CID, of which ffffffff ("no parent") and fffffffe are reserved. */
function contentIdOf({ identity, contentId }: DescriptorOptions): string {
  const bytes = Buffer.from(identity.bytes('vmdk content id', 16));
  if (bytes.readUInt32BE(12) >= 0xffff_fffe) bytes.writeUInt32BE(0x7fff_fffe, 12);
  if (contentId !== undefined) bytes.write(contentId, 12, 'hex');
  return bytes.toString('hex');
}

/** The translation that VMware's tools use: 16 heads for ATA, 255 for SCSI, 63 sectors, cylinders rounded down. */
function geometryOf(capacity: number, adapterType: AdapterType): { cylinders: number; heads: number; sectors: number } {
  const [heads, most] = adapterType === 'ide' ? [16, 16_383] : [255, 65_535];
  return { cylinders: Math.max(1, Math.min(most, Math.floor(capacity / (heads * 63)))), heads, sectors: 63 };
}
