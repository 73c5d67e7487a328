import { definePlugin } from '@polyvisor/core';
import { createVirtualboxProvisioner } from './provisioner.js';

export default definePlugin({ name: 'provisioner-virtualbox', provisioners: [createVirtualboxProvisioner] });
