import type { Identity } from '@polyvisor/core';
import { SECTOR } from './layout.js';

/** Kind of controller that a VMDK is said to be for. Only a hint: the machine's configuration decides. */
export type AdapterType = 'ide' | 'lsilogic';

/**
 * Sectors reserved for the descriptor. VirtualBox adds lines of its own when a disk is attached, so a tight fit would
 * have it write over what follows.
 */
export const DESCRIPTOR_SECTORS = 20;

export interface DescriptorOptions {
  /** In sectors. */
  readonly capacity: number;
  readonly adapterType: AdapterType;
  readonly hardwareVersion: number;
  readonly identity: Identity;
}

/** The text that describes a stream-optimized disk, padded with zero bytes to its reserved sectors. */
export function encodeDescriptor({ capacity, adapterType, hardwareVersion, identity }: DescriptorOptions): Buffer {
  const contentId = contentIdOf(identity);
  const { cylinders, heads, sectors } = geometryOf(capacity, adapterType);
  const text = [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${contentId.slice(-8)}`,
    'parentCID=ffffffff',
    'isNativeSnapshot="no"',
    'createType="streamOptimized"',
    '',
    '# Extent description',
    // A name is obligatory and nobody reads it; a constant keeps the file independent of what it is called.
    `RDONLY ${capacity} SPARSE "generated-stream.vmdk"`,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    `ddb.adapterType = "${adapterType}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${sectors}"`,
    `ddb.longContentID = "${contentId}"`,
    // Tools "unmanaged": what the guest has comes from its distribution (open-vm-tools), the host must not update it.
    'ddb.toolsInstallType = "4"',
    'ddb.toolsVersion = "2147483647"',
    `ddb.virtualHWVersion = "${hardwareVersion}"`,
    '',
  ].join('\n');
  const padded = Buffer.alloc(DESCRIPTOR_SECTORS * SECTOR);
  padded.write(text, 'utf8');
  return padded;
}

/** 32 hexadecimal digits; the last eight are the CID, of which ffffffff ("no parent") and fffffffe are reserved. */
function contentIdOf(identity: Identity): string {
  const bytes = Buffer.from(identity.bytes('vmdk content id', 16));
  if (bytes.readUInt32BE(12) >= 0xffff_fffe) bytes.writeUInt32BE(0x7fff_fffe, 12);
  return bytes.toString('hex');
}

/** The translation that VMware's tools use: 16 heads for ATA, 255 for SCSI, 63 sectors, cylinders rounded down. */
function geometryOf(capacity: number, adapterType: AdapterType): { cylinders: number; heads: number; sectors: number } {
  const [heads, most] = adapterType === 'ide' ? [16, 16_383] : [255, 65_535];
  return { cylinders: Math.max(1, Math.min(most, Math.floor(capacity / (heads * 63)))), heads, sectors: 63 };
}
