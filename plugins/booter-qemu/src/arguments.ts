import type { BlockNode, Firmware } from '@polyvisor/core';
import {
  type Accelerator,
  basicArguments,
  type Bus,
  defaultMachine,
  driveDevices,
  escapeCommas,
  type UefiFiles,
} from '@polyvisor/qemu';

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
  /** File that gets what the guest and its firmware say. */
  readonly consoleLog: string;
}

/**
 * The command line of `qemu-system-x86_64`. The console is the serial port, and before it the firmware's own messages.
 * `snapshot=on` sends every write to an unlinked overlay in TMPDIR and opens the image read-only.
 */
export function machineArguments(machine: MachineDescription): string[] {
  return [
    ...basicArguments({ ...machine, machine: defaultMachine(machine.firmware, [machine.bus]) }),
    ...['-drive', `if=none,id=disk,snapshot=on,file=${escapeCommas(`json:${JSON.stringify(machine.node)}`)}`],
    ...driveDevices(machine.bus, [{ drive: 'disk', kind: 'disk', bootIndex: 1 }]),
    // An address by DHCP, so that nothing in the guest waits for one, and no way to anywhere.
    ...['-netdev', 'user,id=network,restrict=on'],
    ...['-device', 'virtio-net-pci,netdev=network,romfile='],
    ...['-device', 'virtio-rng-pci'],
    ...['-device', 'VGA'],
    ...['-device', 'pvpanic'],
    ...['-chardev', `file,id=console,mux=on,path=${escapeCommas(machine.consoleLog)}`],
    ...['-serial', 'chardev:console'],
    ...['-device', 'isa-debugcon,iobase=0x402,chardev=console'],
  ];
}
