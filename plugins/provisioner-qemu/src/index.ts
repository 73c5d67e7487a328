import { definePlugin } from '@polyvisor/core';
import { createQemuProvisioner } from './provisioner.js';

export { createQemuHypervisor, qemuCapabilities } from './hypervisor.js';
export { qemuOptions, type QemuOptions } from './options.js';
export { createQemuProvisioner };

export default definePlugin({ name: 'provisioner-qemu', provisioners: [createQemuProvisioner] });
