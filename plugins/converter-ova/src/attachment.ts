import { DefinitionError } from '@polyvisor/core';
import type { OvaOptions } from './options.js';

/** Where a disk is attached: to which controller of its kind, and as which unit there. */
export interface Attachment {
  readonly controller: number;
  readonly unit: number;
}

type Controller = OvaOptions['controller'];

/** The unit of a SCSI bus that its adapter has for itself. */
const SCSI_ADAPTER = 7;

/** Disks on one controller; a SCSI bus has 16 units, one of them the adapter. */
const DISKS: Readonly<Record<Controller, number>> = { lsilogic: 15, pvscsi: 15, sata: 30, ide: 2 };

/** Controllers of a kind: VMware has four of each but IDE; VirtualBox imports one SCSI and one SATA controller. */
const CONTROLLERS: Readonly<Record<OvaOptions['flavour'], Readonly<Record<Controller, number>>>> = {
  vmware: { lsilogic: 4, pvscsi: 4, sata: 4, ide: 2 },
  virtualbox: { lsilogic: 1, pvscsi: 1, sata: 1, ide: 2 },
};

/** Where the disk with that index, from 0, goes. */
export function attachmentOf(controller: Controller, index: number): Attachment {
  const position = index % DISKS[controller];
  const isScsi = controller === 'lsilogic' || controller === 'pvscsi';
  return {
    controller: Math.floor(index / DISKS[controller]),
    unit: isScsi && position >= SCSI_ADAPTER ? position + 1 : position,
  };
}

/** Controllers that so many disks need. */
export function controllersFor(controller: Controller, disks: number): number {
  return Math.ceil(disks / DISKS[controller]);
}

/** Refuses more disks than the machine takes. */
export function assertAttachable(flavour: OvaOptions['flavour'], controller: Controller, disks: number): void {
  const most = DISKS[controller] * CONTROLLERS[flavour][controller];
  if (disks <= most) return;
  throw new DefinitionError(
    'ova-too-many-disks',
    `a machine for ${flavour} takes at most ${most} disks on ${controller} controllers, these are ${disks}`,
    { hint: controller === 'sata' ? 'leave some out' : 'choose controller=sata, or leave some out' },
  );
}
