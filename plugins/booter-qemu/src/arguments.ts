import type { BlockNode, Firmware } from '@polyvisor/core';
import { type Accelerator, escapeCommas, processor, uefiArguments, type UefiFiles } from '@polyvisor/qemu';

/** Kinds of disk controller, the default first. Each is a list of `-device` options that ends with the disk itself. */
const BUSES = {
  virtio: ['virtio-blk-pci,drive=disk,bootindex=0'],
  sata: ['ahci,id=bus', 'ide-hd,drive=disk,bus=bus.0,bootindex=0'],
  ide: ['ide-hd,drive=disk,bus=ide.0,bootindex=0'],
  nvme: ['nvme,drive=disk,serial=polyvisor,bootindex=0'],
  'virtio-scsi': ['virtio-scsi-pci,id=bus', 'scsi-hd,drive=disk,bus=bus.0,bootindex=0'],
  pvscsi: ['pvscsi,id=bus', 'scsi-hd,drive=disk,bus=bus.0,bootindex=0'],
  lsi: ['lsi53c895a,id=bus', 'scsi-hd,drive=disk,bus=bus.0,bootindex=0'],
} as const;

export type Bus = keyof typeof BUSES;

export const BUS_NAMES = Object.keys(BUSES) as readonly Bus[];

export interface MachineDescription {
  readonly node: BlockNode;
  readonly bus: Bus;
  readonly accelerator: Accelerator;
  readonly firmware: Firmware;
  /** Required for UEFI. */
  readonly uefi?: UefiFiles | undefined;
  readonly cpus: number;
  /** In bytes. */
  readonly memory: number;
  /** Path of the QMP socket; relative to QEMU's working directory, because socket addresses hold 107 bytes only. */
  readonly qmpSocket: string;
}

/**
 * The command line of `qemu-system-x86_64`. The console (serial port, and before it the firmware's own messages) is on
 * standard output. `snapshot=on` sends every write to an unlinked overlay in TMPDIR and opens the image read-only.
 */
export function machineArguments(machine: MachineDescription): string[] {
  const { accelerator, bus } = machine;
  return [
    '-nodefaults',
    '-no-user-config',
    ...['-display', 'none'],
    // i440fx with BIOS and q35 with UEFI, as older and newer hypervisors have it. q35 has no IDE bus of the old kind.
    ...['-machine', machine.firmware === 'uefi' && bus !== 'ide' ? 'q35' : 'pc'],
    ...['-accel', accelerator === 'tcg' ? 'tcg,thread=multi' : accelerator],
    ...['-cpu', processor(accelerator)],
    ...['-smp', String(machine.cpus)],
    ...['-m', `${Math.max(1, Math.floor(machine.memory / 2 ** 20))}M`],
    ...uefiArguments(machine.uefi),
    ...['-drive', `if=none,id=disk,snapshot=on,file=${escapeCommas(`json:${JSON.stringify(machine.node)}`)}`],
    ...BUSES[bus].flatMap((device) => ['-device', device]),
    // An address by DHCP, so that nothing in the guest waits for one, and no way to anywhere.
    ...['-netdev', 'user,id=network,restrict=on'],
    ...['-device', 'virtio-net-pci,netdev=network,romfile='],
    ...['-device', 'virtio-rng-pci'],
    ...['-device', 'VGA'],
    ...['-device', 'pvpanic'],
    ...['-chardev', 'stdio,id=console,mux=on,signal=off'],
    ...['-serial', 'chardev:console'],
    ...['-device', 'isa-debugcon,iobase=0x402,chardev=console'],
    ...['-chardev', `socket,id=qmp,path=${escapeCommas(machine.qmpSocket)},server=on,wait=off`],
    ...['-mon', 'chardev=qmp,mode=control'],
  ];
}
