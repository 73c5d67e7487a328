import { DefinitionError, type MachineSpec } from '@polyvisor/core';
import { join } from 'node:path';
import type { Manage } from './manage.js';
import type { VirtualboxOptions } from './options.js';

/** One image in one place of one controller. */
export interface Attachment {
  readonly controller: string;
  readonly port: number;
  readonly device: number;
  readonly type: 'hdd' | 'dvddrive';
  readonly medium: string;
}

/** Controllers to add, with their arguments of `storagectl`, and what to attach to them. */
export interface Storage {
  readonly controllers: readonly { readonly name: string; readonly arguments: readonly string[] }[];
  readonly attachments: readonly Attachment[];
}

const KINDS: Readonly<Record<VirtualboxOptions['disk-bus'], readonly string[]>> = {
  sata: ['--add', 'sata', '--controller', 'IntelAhci'],
  ide: ['--add', 'ide', '--controller', 'PIIX4'],
  'virtio-scsi': ['--add', 'virtio', '--controller', 'VirtIO'],
  scsi: ['--add', 'scsi', '--controller', 'LsiLogic'],
  nvme: ['--add', 'pcie', '--controller', 'NVMe'],
};

/** Two channels with two devices each, of which the disk takes one. */
const IDE_MEDIA = 3;

/** The disk first, then the media in their order: on the same controller where that takes CDs, else on a SATA controller. */
export function layOut(spec: MachineSpec, options: Pick<VirtualboxOptions, 'disk-bus' | 'guest-additions'>): Storage {
  const bus = options['disk-bus'];
  if (bus === 'nvme' && spec.firmware === 'bios')
    throw new DefinitionError(
      'bus-cannot-start',
      `VirtualBox's BIOS starts no NVMe disk, and ${spec.name} has BIOS firmware`,
      {
        hint: 'choose firmware: [uefi], or another disk-bus: sata, ide, virtio-scsi, scsi',
      },
    );
  const media = mediaOf(spec, options['guest-additions']);
  if (bus === 'ide' && media.length > IDE_MEDIA)
    throw new DefinitionError(
      'bus-too-small',
      `an IDE controller takes the disk and ${IDE_MEDIA} media, and ${spec.name} has ${media.length}`,
      {
        hint: 'choose another disk-bus: sata',
      },
    );
  const shared = bus === 'sata' || bus === 'ide';
  const disk = { controller: 'disk', port: 0, device: 0, type: 'hdd', medium: spec.disk } as const;
  const others = media.map(({ type, medium }, index): Attachment => {
    const place = index + 1;
    if (!shared) return { controller: 'media', port: index, device: 0, type, medium };
    if (bus === 'sata') return { controller: 'disk', port: place, device: 0, type, medium };
    return { controller: 'disk', port: place >> 1, device: place & 1, type, medium };
  });
  return {
    controllers: [
      { name: 'disk', arguments: [...KINDS[bus], ...(bus === 'sata' ? portCount(media.length + 1) : []), ...CACHED] },
      ...(shared || media.length === 0
        ? []
        : [{ name: 'media', arguments: [...KINDS.sata, ...portCount(media.length), ...CACHED] }]),
    ],
    attachments: [disk, ...others],
  };
}

// The cache of this computer, without which every write of the guest waits for the disk below.
const CACHED = ['--hostiocache', 'on', '--bootable', 'on'];

function portCount(count: number): string[] {
  return ['--portcount', String(count)];
}

function mediaOf({ media }: MachineSpec, additions: string | undefined): Pick<Attachment, 'type' | 'medium'>[] {
  const ours = media.map(({ kind, path }) => ({ type: kind === 'cdrom' ? 'dvddrive' : 'hdd', medium: path }) as const);
  if (additions === undefined) return ours;
  // VirtualBox knows its own by this name.
  return [...ours, { type: 'dvddrive', medium: additions === 'auto' ? 'additions' : additions }];
}

/** Adds the controllers and attaches everything. Raw images of media become VDI images in `folder`, for it attaches no others. */
export async function attachAll(
  manage: Manage,
  machine: string,
  storage: Storage,
  folder: string,
  spec: MachineSpec,
  signal: AbortSignal,
): Promise<void> {
  for (const controller of storage.controllers) {
    const args = ['storagectl', machine, '--name', controller.name, ...controller.arguments];
    await manage.run(`add a disk controller to ${spec.name}`, args, signal);
  }
  for (const [index, { controller, port, device, type, medium }] of storage.attachments.entries()) {
    const place = ['--storagectl', controller, '--port', String(port), '--device', String(device)];
    const isDisk = medium === spec.disk;
    let path = medium;
    if (type === 'hdd' && !isDisk) {
      path = join(folder, `medium-${index}.vdi`);
      await manage.run(`read the medium ${medium}`, ['convertfromraw', medium, path, '--format', 'VDI'], signal);
    }
    const more = isDisk ? ['--nonrotational', 'on', '--discard', 'on'] : [];
    const args = ['storageattach', machine, ...place, '--type', type, '--medium', path, ...more];
    await manage.run(`attach ${medium} to ${spec.name}`, args, signal);
  }
}
