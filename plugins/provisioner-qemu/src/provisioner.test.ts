import { describeProvisioner } from '@polyvisor/testkit';
import { createQemuProvisioner } from './provisioner.js';

describeProvisioner(createQemuProvisioner);
