import type { MachineSpec, Start } from '@polyvisor/core';
import { type Accelerator, basicArguments, defaultMachine, escapeCommas, type UefiFiles } from '@polyvisor/qemu';
import { driveArguments, SERIAL_ID } from './drives.js';
import { networkArguments } from './network.js';
import type { QemuOptions } from './options.js';

/** Files of a machine besides those that its spec names. */
export interface MachineFiles {
  /** QEMU writes its process number there, and removes it when it ends well. */
  readonly pid: string;
  /** Required for UEFI. */
  readonly uefi?: UefiFiles | undefined;
  /** One for each of the spec's firmware strings. */
  readonly firmwareStrings: readonly string[];
}

/** The command line for one start of a machine. */
export function machineArguments(
  spec: MachineSpec,
  start: Start,
  options: QemuOptions,
  accelerator: Accelerator,
  files: MachineFiles,
): string[] {
  const { bus, 'media-bus': mediaBus, machine = defaultMachine(spec.firmware, [bus, ...auto(mediaBus)]) } = options;
  return [
    ...basicArguments({ ...options, ...spec, machine, accelerator, uefi: files.uefi }),
    ...['-name', spec.name],
    ...['-pidfile', files.pid],
    // The guest's kernel panicking stops the machine, so that its last screen can be seen.
    ...['-action', start.kind === 'disk' ? 'panic=pause' : 'reboot=shutdown,panic=pause'],
    // Nothing is started but what is named.
    ...['-boot', 'strict=on'],
    ...kernelArguments(start),
    ...driveArguments(spec, { bus, mediaBus, mediaStart: start.kind === 'disk' }),
    ...networkArguments(options['network-card'], spec.forwardedPorts, start),
    ...['-device', 'virtio-rng-pci'],
    ...['-device', 'VGA'],
    ...['-device', 'pvpanic'],
    ...['-chardev', `file,id=${SERIAL_ID},append=on,path=${escapeCommas(spec.serialLog)}`],
    ...['-serial', `chardev:${SERIAL_ID}`],
    // From files: a command line can be read by every user of this computer.
    ...files.firmwareStrings.flatMap((path) => ['-smbios', `type=11,path=${escapeCommas(path)}`]),
    ...options.arguments,
  ];
}

function kernelArguments(start: Start): string[] {
  if (start.kind !== 'kernel') return [];
  return ['-kernel', start.kernel, '-initrd', start.initrd, '-append', start.arguments.join(' ')];
}

function auto<T extends string>(bus: T | 'auto'): T[] {
  return bus === 'auto' ? [] : [bus];
}
