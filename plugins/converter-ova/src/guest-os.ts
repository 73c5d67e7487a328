import type { ApplianceFacts } from '@polyvisor/core';

/** A guest's system as OVF names it. */
export interface GuestOs {
  /** Of the CIM list that OVF refers to; every importer knows these. */
  readonly cimId: number;
  /** VMware's own identifier, more exact. */
  readonly vmware: string;
  /** VirtualBox's own, in words that all its versions know. */
  readonly virtualbox: string;
  readonly description: string;
}

interface Family {
  readonly cimId: number;
  readonly title: string;
  /** Identifiers by release, newest first, each with the hardware version of the vSphere that brought it. */
  readonly releases: readonly (readonly [release: number, hardware: number, vmware: string])[];
  readonly fallback: string;
  readonly virtualbox: string;
}

/** vSphere refuses an identifier that is newer than the machine's hardware version, so it is never more than that. */
const FAMILIES: ReadonlyMap<string, Family> = new Map([
  [
    'debian',
    {
      cimId: 96,
      title: 'Debian GNU/Linux',
      releases: [
        [12, 20, 'debian12_64Guest'],
        [11, 17, 'debian11_64Guest'],
        [10, 13, 'debian10_64Guest'],
        [9, 13, 'debian9_64Guest'],
        [8, 11, 'debian8_64Guest'],
      ],
      fallback: 'debian6_64Guest',
      virtualbox: 'Debian_64',
    },
  ],
  ['ubuntu', { cimId: 94, title: 'Ubuntu', releases: [], fallback: 'ubuntu64Guest', virtualbox: 'Ubuntu_64' }],
  [
    'rhel',
    {
      cimId: 80,
      title: 'Red Hat Enterprise Linux',
      releases: [
        [9, 18, 'rhel9_64Guest'],
        [8, 14, 'rhel8_64Guest'],
      ],
      fallback: 'rhel7_64Guest',
      virtualbox: 'RedHat_64',
    },
  ],
  [
    'centos',
    {
      cimId: 107,
      title: 'CentOS',
      releases: [[7, 13, 'centos7_64Guest']],
      fallback: 'centos64Guest',
      virtualbox: 'RedHat_64',
    },
  ],
  [
    'linux',
    {
      cimId: 101,
      title: 'Linux',
      releases: [[0, 10, 'other3xLinux64Guest']],
      fallback: 'otherLinux64Guest',
      virtualbox: 'Linux_64',
    },
  ],
  ['other', { cimId: 102, title: 'Other', releases: [], fallback: 'otherGuest64', virtualbox: 'Other_64' }],
]);

/** Where nothing better is known than that it is some Linux. */
const LINUX = 'linux';

/** The identifiers for an appliance's guest, none newer than the hardware version knows. */
export function guestOsOf(
  { guest, guestVersion }: Pick<ApplianceFacts, 'guest' | 'guestVersion'>,
  hardware: number,
): GuestOs {
  const family = FAMILIES.get(guest) ?? (FAMILIES.get(LINUX) as Family);
  const version = Number.parseInt(guestVersion, 10);
  const release = family.releases.find(([number, since]) => !(number > version) && since <= hardware);
  return {
    cimId: family.cimId,
    vmware: release?.[2] ?? family.fallback,
    virtualbox: family.virtualbox,
    description: [family.title, guestVersion, '(64-bit)'].filter(Boolean).join(' '),
  };
}
