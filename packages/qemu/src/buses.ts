import type { Firmware } from '@polyvisor/core';

/** A disk or CD of a machine, named by the id of its drive or the name of its block node. */
export interface Drive {
  readonly drive: string;
  readonly kind: 'disk' | 'cdrom';
  /** Place in the firmware's order, from 1 (a kernel that is started directly takes 0); absent: never started from. */
  readonly bootIndex?: number;
}

/** One kind of disk controller. */
interface Controller {
  /** The controller itself, as values of `-device`; empty where each disk is one, or the machine has it. */
  readonly devices: (id: string) => readonly string[];
  /** A disk at a place of it, counted from 0, without the properties that all disks share. */
  readonly disk: (drive: string, id: string, place: number) => string;
  /** Absent: it has no CDs; then they go to `companion`. */
  readonly cdrom?: (drive: string, id: string, place: number) => string;
  readonly companion?: 'virtio-scsi' | 'sata';
  readonly places: number;
  /** QEMU passes errors of the image file on to the guest, instead of stopping it. */
  readonly cannotStop?: true;
}

/** Kinds of disk controller, the default first. */
const CONTROLLERS = {
  virtio: {
    devices: () => [],
    disk: (drive) => `virtio-blk-pci,drive=${drive}`,
    // Guests that know virtio disks know this controller; kernels made for clouds often know nothing else.
    companion: 'virtio-scsi',
    places: 8,
  },
  sata: {
    devices: (id) => [`ahci,id=${id}`],
    disk: (drive, id, place) => `ide-hd,drive=${drive},bus=${id}.${place}`,
    cdrom: (drive, id, place) => `ide-cd,drive=${drive},bus=${id}.${place}`,
    places: 6,
  },
  ide: {
    devices: () => [],
    disk: (drive, _id, place) => `ide-hd,drive=${drive},bus=ide.${place >> 1},unit=${place & 1}`,
    cdrom: (drive, _id, place) => `ide-cd,drive=${drive},bus=ide.${place >> 1},unit=${place & 1}`,
    places: 4,
  },
  nvme: {
    devices: () => [],
    disk: (drive, _id, place) => `nvme,drive=${drive},serial=polyvisor-${place}`,
    companion: 'sata',
    places: 8,
    cannotStop: true,
  },
  'virtio-scsi': scsi('virtio-scsi-pci'),
  pvscsi: scsi('pvscsi'),
  lsi: scsi('lsi53c895a'),
} as const satisfies Readonly<Record<string, Controller>>;

function scsi(device: string) {
  return {
    devices: (id: string) => [`${device},id=${id}`],
    disk: (drive: string, id: string, place: number) => `scsi-hd,drive=${drive},bus=${id}.0,scsi-id=${place},lun=0`,
    cdrom: (drive: string, id: string, place: number) => `scsi-cd,drive=${drive},bus=${id}.0,scsi-id=${place},lun=0`,
    places: 7, // the controller itself is the eighth
  } satisfies Controller;
}

export type Bus = keyof typeof CONTROLLERS;

export const BUS_NAMES = Object.keys(CONTROLLERS) as readonly Bus[];

/** Controllers that take CDs. */
export const MEDIA_BUS_NAMES = BUS_NAMES.filter((bus) => 'cdrom' in CONTROLLERS[bus]);

/** Ids of the controllers that `driveDevices` adds. */
export const CONTROLLER_IDS = ['bus', 'media'] as const;

/** Whether QEMU stops the guest when the image file fails, instead of letting the guest see it. */
export function stopsOnErrors(bus: Bus): boolean {
  return !('cannotStop' in CONTROLLERS[bus]);
}

/** i440fx with BIOS and q35 with UEFI, as older and newer hypervisors have it. q35 has no IDE bus of the old kind. */
export function defaultMachine(firmware: Firmware, buses: readonly Bus[]): 'pc' | 'q35' {
  return firmware === 'uefi' && !buses.includes('ide') ? 'q35' : 'pc';
}

/**
 * `-device` options for drives, the first ones on `bus`; media that it does not take, or that are wanted elsewhere, on another.
 * Throws `RangeError` when there are more than the controllers have places for.
 */
export function driveDevices(bus: Bus, drives: readonly Drive[], mediaBus: Bus | 'auto' = 'auto'): string[] {
  const taken = new Map<Bus, number>();
  const devices: string[] = [];
  for (const [index, { drive, kind, bootIndex }] of drives.entries()) {
    const on = index === 0 ? bus : busFor(kind, bus, mediaBus);
    const controller: Controller = CONTROLLERS[on];
    const id = on === bus ? CONTROLLER_IDS[0] : CONTROLLER_IDS[1];
    const place = taken.get(on) ?? 0;
    if (place === 0) devices.push(...controller.devices(id));
    if (place >= controller.places)
      throw new RangeError(`a controller of kind ${on} has ${controller.places} places, and there are more drives`);
    taken.set(on, place + 1);
    const device = (kind === 'cdrom' ? controller.cdrom : undefined) ?? controller.disk;
    const boot = bootIndex === undefined ? '' : `,bootindex=${bootIndex}`;
    const errors = kind === 'disk' && stopsOnErrors(on) ? ',werror=stop,rerror=stop' : '';
    devices.push(`${device(drive, id, place)}${boot}${errors}`);
  }
  return devices.flatMap((device) => ['-device', device]);
}

function busFor(kind: Drive['kind'], bus: Bus, mediaBus: Bus | 'auto'): Bus {
  if (mediaBus !== 'auto') return mediaBus;
  const controller: Controller = CONTROLLERS[bus];
  return kind === 'cdrom' && controller.cdrom === undefined ? (controller.companion ?? bus) : bus;
}
