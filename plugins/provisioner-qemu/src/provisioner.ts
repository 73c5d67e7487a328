import type { PluginContext, Provisioner } from '@polyvisor/core';
import { machineProvisioner } from '@polyvisor/machine';
import { findUefi, probeAcceleration, probeQemu } from '@polyvisor/qemu';
import { discardMachines } from './discard.js';
import { createQemuHypervisor, qemuCapabilities } from './hypervisor.js';
import { qemuOptions } from './options.js';

/** The first that stops at a restart, and at a panic, on request (`-action`). */
const OLDEST = '6.0';

/** Installs appliances in QEMU, or starts from an existing disk. */
export function createQemuProvisioner(context: PluginContext): Provisioner {
  return machineProvisioner({
    id: 'qemu',
    summary:
      'installs appliances in QEMU, from installers and from existing disks, with KVM, HVF or WHPX where they work',
    architectures: ['x86_64'],
    // Without OVMF there is no UEFI, and it is better to know before a long build than after.
    firmware: findUefi() === undefined ? ['bios'] : ['bios', 'uefi'],
    options: qemuOptions,
    capabilities: qemuCapabilities,
    probe: (signal) =>
      probeQemu(
        context,
        {
          oldest: OLDEST,
          otherwise: 'take another provisioner',
          acceleration: (whileAsked) => probeAcceleration(context, {}, whileAsked),
        },
        signal,
      ),
    hypervisor: (options) => createQemuHypervisor(context, options),
    discard: (workDir, signal) => discardMachines(context, workDir, signal),
  });
}
