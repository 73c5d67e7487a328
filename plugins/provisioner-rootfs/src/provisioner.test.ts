import { describeProvisioner } from '@polyvisor/testkit';
import { createRootfsProvisioner } from './provisioner.js';

describeProvisioner(createRootfsProvisioner);
