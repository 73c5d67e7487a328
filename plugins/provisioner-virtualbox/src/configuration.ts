import type { MachineSpec } from '@polyvisor/core';
import { argumentsOf, type VirtualboxOptions } from './options.js';
import { FORWARDING_HOST } from './ports.js';
import { isAtLeast, type Version } from './version.js';

const MIB = 1024 * 1024;

/** What VirtualBox is told about a machine besides its disks. */
export interface Configuration {
  readonly spec: MachineSpec;
  readonly options: VirtualboxOptions;
  readonly version: Version;
  readonly engine: 'default' | 'interpreter';
  /** File of the first serial port, which VirtualBox empties at each start. */
  readonly serial: string;
  /** Ports of the guest and those of this computer that lead there. */
  readonly forwarding: ReadonlyMap<number, number>;
}

/** Memory is counted in MiB. */
export function memoryOf({ memory }: MachineSpec): number {
  return Math.max(4, Math.ceil(memory / MIB));
}

/** Arguments of `modifyvm`, in the spellings that all releases from 6.1 on take. */
export function modifyArguments(configuration: Configuration): string[] {
  const { spec, options, version, engine, serial, forwarding } = configuration;
  return [
    ...['--firmware', spec.firmware === 'uefi' ? 'efi64' : 'bios'],
    ...['--chipset', options.chipset, '--ioapic', 'on', '--acpi', 'on', '--pae', 'on', '--rtcuseutc', 'on'],
    ...['--cpus', String(spec.cpus), '--memory', String(memoryOf(spec))],
    ...['--graphicscontroller', options['graphics-controller'], '--vram', String(options['video-memory'])],
    ...['--mouse', 'ps2', '--keyboard', 'ps2', '--vrde', 'off'],
    // Neither pictures nor menus of its own: they would be in the way of keys that are typed, and cost half of its time.
    ...[
      '--bioslogofadein',
      'off',
      '--bioslogofadeout',
      'off',
      '--bioslogodisplaytime',
      '0',
      '--biosbootmenu',
      'disabled',
    ],
    ...(isAtLeast(version, 7, 0) ? ['--audio-enabled', 'off'] : ['--audio', 'none']),
    ...['--boot1', 'disk', '--boot2', 'dvd', '--boot3', 'none', '--boot4', 'none'],
    ...['--nic1', 'nat', '--nictype1', options['network-adapter'], '--cableconnected1', 'on'],
    // Without it the guest reaches no server that listens on this computer's 127.0.0.1. 6.1 has it on, and no option for it.
    ...(isAtLeast(version, 7, 0) ? ['--nat-localhostreachable1', 'on'] : []),
    ...[...forwarding].flatMap(([guestPort, port]) => ['--natpf1', forwardingRule(guestPort, port)]),
    ...['--uart1', '0x3F8', '4', '--uartmode1', 'file', serial],
    ...(engine === 'interpreter' ? ['--vm-execution-engine', 'interpreter'] : []),
    ...options.modifyvm.flatMap(argumentsOf),
  ];
}

/** Each has a name, by which it is removed again. */
export function forwardingRule(guestPort: number, port: number): string {
  return `${forwardingName(guestPort)},tcp,${FORWARDING_HOST},${port},,${guestPort}`;
}

/** Of the rule for a port of the guest. */
export function forwardingName(guestPort: number): string {
  return `port-${guestPort}`;
}
