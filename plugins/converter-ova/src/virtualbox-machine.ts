import type { Identity } from '@polyvisor/core';
import { attachmentOf } from './attachment.js';
import type { Machine } from './machine.js';
import { type Element, element } from './xml.js';

export const VIRTUALBOX_NAMESPACE = { 'xmlns:vbox': 'http://www.virtualbox.org/ovf/machine' } as const;

/** Version of VirtualBox's settings that this is written in: that of 4.1, so every later one reads it. */
const SETTINGS_VERSION = '1.12-linux';

const CONTROLLERS = {
  lsilogic: { name: 'SCSI', type: 'LsiLogic', ports: 16 },
  sata: { name: 'SATA', type: 'AHCI', ports: 1 },
  ide: { name: 'IDE', type: 'PIIX4', ports: 2 },
} as const;

const ADAPTERS = { e1000: '82540EM', pcnet32: 'Am79C973' } as const;

/** How a network is connected, by the names that VirtualBox's own importer knows; it bridges any other. */
const CONNECTIONS: ReadonlyMap<string, string> = new Map([
  ['nat', 'NAT'],
  ['hostonly', 'HostOnlyInterface'],
  ['internal', 'InternalNetwork'],
]);

export interface VirtualBoxIds {
  readonly machine: string;
  readonly disks: readonly string[];
}

export function virtualBoxIds(identity: Identity, disks: number): VirtualBoxIds {
  return {
    machine: identity.uuid('virtualbox machine'),
    disks: Array.from({ length: disks }, (_, index) =>
      identity.uuid(index === 0 ? 'virtualbox disk' : `virtualbox disk ${index + 1}`),
    ),
  };
}

/**
 * The machine in VirtualBox's own notation. OVF has no word for UEFI and VirtualBox does not read VMware's, so a machine
 * that needs it is described once more; VirtualBox then follows this and passes over the OVF's own hardware.
 */
export function virtualBoxMachine(machine: Machine, ids: VirtualBoxIds): Element {
  const { name, type, ports } = CONTROLLERS[machine.controller === 'pvscsi' ? 'lsilogic' : machine.controller];
  const adapters = machine.networks.map((network, slot) =>
    element(
      'Adapter',
      { slot, enabled: 'true', cable: 'true', type: ADAPTERS[machine.adapter === 'pcnet32' ? 'pcnet32' : 'e1000'] },
      element(CONNECTIONS.get(network.toLowerCase()) ?? 'BridgedInterface', {}),
    ),
  );
  return element(
    'vbox:Machine',
    {
      'ovf:required': 'false',
      version: SETTINGS_VERSION,
      uuid: `{${ids.machine}}`,
      name: machine.id,
      OSType: machine.guest.virtualbox,
    },
    element('ovf:Info', {}, 'The machine as VirtualBox describes it'),
    element('Description', {}, machine.description),
    element(
      'Hardware',
      { version: 2 },
      element('CPU', { count: machine.cpus }, element('PAE', { enabled: 'true' })),
      element('Memory', { RAMSize: machine.memoryMiB }),
      element('Firmware', { type: 'EFI' }),
      element('Display', { VRAMSize: 16 }),
      element('BIOS', {}, element('IOAPIC', { enabled: 'true' })),
      // Left to itself, VirtualBox would add one.
      element('Network', {}, ...(adapters.length > 0 ? adapters : [element('Adapter', { slot: 0, enabled: 'false' })])),
      element('RTC', { localOrUTC: 'UTC' }),
    ),
    element(
      'StorageControllers',
      {},
      element(
        'StorageController',
        // Of SATA, only the ports that are used; the others have a number of their own.
        {
          name,
          type,
          PortCount: Math.max(ports, type === 'AHCI' ? ids.disks.length : 0),
          useHostIOCache: 'false',
          Bootable: 'true',
        },
        ...ids.disks.map((uuid, index) => {
          const { controller, unit } = attachmentOf(machine.controller, index);
          // Its two IDE channels are the ports of one controller.
          const [port, device] = machine.controller === 'ide' ? [controller, unit] : [unit, 0];
          return element('AttachedDevice', { type: 'HardDisk', port, device }, element('Image', { uuid: `{${uuid}}` }));
        }),
      ),
    ),
  );
}
