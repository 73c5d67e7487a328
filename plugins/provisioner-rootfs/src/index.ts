import { definePlugin } from '@polyvisor/core';
import { createRootfsProvisioner } from './provisioner.js';

export { createRootfsProvisioner } from './provisioner.js';

export default definePlugin({
  name: 'provisioner-rootfs',
  provisioners: [createRootfsProvisioner],
});
