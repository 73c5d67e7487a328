import type { ApplianceFacts, DiskSource } from '@polyvisor/core';
import { firmwareOf } from './partitions.js';

const GIBIBYTE = 2 ** 30;

/** What can be known of a machine from its disk alone; formats with a descriptor have options for the rest. */
export async function factsOf(name: string, disk: DiskSource): Promise<ApplianceFacts> {
  return {
    name,
    version: '',
    description: '',
    architecture: 'x86_64',
    firmware: await firmwareOf(disk),
    cpus: 2,
    memory: 2 * GIBIBYTE,
    guest: 'other',
    guestVersion: '',
  };
}
