import { type ApplianceFacts, DefinitionError, roundUp } from '@polyvisor/core';
import { assertAttachable } from './attachment.js';
import { type GuestOs, guestOsOf } from './guest-os.js';
import { DEFAULT_HARDWARE, type OvaOptions } from './options.js';

/** The machine that an OVF describes: options where given, else the appliance's own facts. */
export interface Machine {
  /** For people. */
  readonly name: string;
  /** For file names and identifiers: ASCII letters, digits, dot, dash, underscore. */
  readonly id: string;
  readonly description: string;
  readonly version: string;
  readonly flavour: OvaOptions['flavour'];
  readonly hardware: number;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly controller: OvaOptions['controller'];
  readonly firmware: 'bios' | 'uefi';
  readonly networks: readonly string[];
  readonly adapter: OvaOptions['adapter'];
  readonly guest: GuestOs;
}

/** VMware takes memory in multiples of 4 MiB only. */
const MEMORY_STEP = 4;

/** Longest base name: with `-disk1.vmdk` it stays below tar's 100 bytes, the end of what every importer reads. */
const MAX_ID = 80;

/** Refuses what no such machine can be, `disks` of them included. */
export function machineOf(options: OvaOptions, appliance: ApplianceFacts, disks = 1): Machine {
  assertAttachable(options.flavour, options.controller, disks);
  if (appliance.architecture !== 'x86_64') {
    throw new DefinitionError(
      'ova-architecture',
      `an OVA describes an x86_64 machine, ${appliance.name} is for ${appliance.architecture}`,
      {
        hint: 'export to qcow2 or raw instead',
      },
    );
  }
  const hardware = options.hardware ?? DEFAULT_HARDWARE;
  const name = options.name ?? appliance.name;
  return {
    name,
    id: identifierOf(name),
    description: appliance.description,
    version: appliance.version,
    flavour: options.flavour,
    hardware,
    cpus: options.cpus ?? appliance.cpus,
    memoryMiB: roundUp((options.memory ?? appliance.memory) / 2 ** 20, MEMORY_STEP),
    controller: options.controller,
    firmware:
      options.firmware ??
      (appliance.firmware.includes('uefi') && !appliance.firmware.includes('bios') ? 'uefi' : 'bios'),
    networks: options.networks ?? (options.flavour === 'virtualbox' ? ['NAT'] : []),
    adapter: options.adapter,
    guest: guestOsOf(appliance, hardware),
  };
}

/** A name as a base name that every importer and file system takes. */
export function identifierOf(name: string): string {
  const plain = name
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, MAX_ID)
    .replace(/[.-]+$/, '');
  return plain === '' ? 'appliance' : plain;
}
