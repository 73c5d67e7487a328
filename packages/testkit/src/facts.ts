import type { ApplianceFacts } from '@polyvisor/core';

/** An appliance as plain as can be, for jobs that need one. */
export const sampleFacts: ApplianceFacts = {
  name: 'sample',
  version: '1.0',
  description: 'A sample appliance',
  architecture: 'x86_64',
  firmware: ['bios', 'uefi'],
  cpus: 1,
  memory: 1024 * 1024 * 1024,
  guest: 'debian',
  guestVersion: '12',
};
