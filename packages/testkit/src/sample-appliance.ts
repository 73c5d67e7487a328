import type { Appliance, GuestAccess, Source } from '@polyvisor/core';
import { sampleFacts } from './facts.js';

const access: GuestAccess = { user: 'root', port: 22, timeout: 60_000, become: 'none' };

/** One source of each kind, as easy to serve as can be: an installer that can be started in every way. Their files do not exist. */
export const sampleSources: { readonly [Kind in Source['kind']]: Extract<Source, { kind: Kind }> } = {
  packages: { kind: 'packages', distribution: 'debian', suite: 'bookworm', components: ['main'] },
  installer: {
    kind: 'installer',
    medium: {
      kind: 'iso',
      image: { locations: ['/nowhere/installer.iso'], checksum: `sha256:${'0'.repeat(64)}` },
      kernel: 'linux',
      initrd: 'initrd.gz',
    },
    start: 'auto',
    kernelArguments: ['auto'],
    typing: { wait: 1000, command: ['auto<enter>'], layout: 'us' },
    answers: { http: [] },
    access,
    limits: { fetch: 60_000, install: 60_000 },
  },
  disk: {
    kind: 'disk',
    image: { locations: ['/nowhere/disk.img'], checksum: `sha256:${'0'.repeat(64)}` },
    answers: { http: [] },
    access,
  },
};

/** A small appliance, for jobs that need one. */
export const sampleAppliance: Appliance = {
  ...sampleFacts,
  hostname: 'sample',
  disk: { size: 1024 * 1024 * 1024, partitions: [{ label: 'root', filesystem: 'ext4', mount: '/' }] },
  source: sampleSources.packages,
  packages: [],
  kernelArguments: [],
  locale: 'C.UTF-8',
  timezone: 'Etc/UTC',
  files: [],
  scripts: [],
  users: [],
  secrets: [],
};
