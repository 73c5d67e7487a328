import { describeProvisioner } from '@polyvisor/testkit';
import { createVirtualboxProvisioner } from './provisioner.js';

describeProvisioner(createVirtualboxProvisioner);
