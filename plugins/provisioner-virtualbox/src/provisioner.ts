import { parseOptions, type PluginContext, type Provisioner } from '@polyvisor/core';
import { machineProvisioner } from '@polyvisor/machine';
import { discardMachines } from './discard.js';
import { VirtualBox, virtualboxCapabilities } from './hypervisor.js';
import { withImport } from './import-source.js';
import { virtualboxOptions } from './options.js';
import { probeVirtualBox } from './probe.js';

/** Makes disks in machines of VirtualBox. */
export function createVirtualboxProvisioner(context: PluginContext): Provisioner {
  const provisioner = machineProvisioner({
    id: 'virtualbox',
    summary: 'installs or changes a system in a machine of VirtualBox',
    architectures: ['x86_64'],
    firmware: ['bios', 'uefi'],
    options: virtualboxOptions,
    capabilities: virtualboxCapabilities,
    probe: (signal) => probeVirtualBox(context, 'VBoxManage', signal),
    hypervisor: (options) => new VirtualBox(context, options),
    discard: discardMachines,
  });
  return {
    ...provisioner,
    provision: async (job) => {
      job.signal.throwIfAborted();
      const { import: what, vboxmanage } = parseOptions('--provisioner virtualbox', virtualboxOptions, job.options);
      if (what === undefined) return provisioner.provision(job);
      const appliance = await withImport(context, job.appliance, what, vboxmanage, job.signal);
      return provisioner.provision({ ...job, appliance });
    },
  };
}
