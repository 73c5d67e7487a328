import { type AptSource, sourceLine } from './mirror.js';

export interface Bootstrap {
  readonly root: string;
  readonly suite: string;
  readonly sources: readonly AptSource[];
  readonly packages: readonly string[];
  /** Downloaded packages and the archives' lists, shared between builds. */
  readonly archives: string;
  readonly lists: string;
  /** Settings of apt, one line each. */
  readonly options: readonly string[];
}

/**
 * Steps of mmdebstrap left out: what belongs to the cache stays (we clear the guest ourselves), `/sys` cannot be
 * mounted by an ordinary user, and services are kept from starting by policy-rc.d already. The lists are up to date.
 */
const SKIPPED = [
  'check/empty',
  'check/qemu',
  'chroot/mount/sys',
  'chroot/start-stop-daemon',
  'cleanup/apt',
  'cleanup/tmp',
  'download/empty',
  'essential/unlink',
  'update',
];

/** Arguments that install a system into `root`, run as the root of a sandbox. */
export function mmdebstrapArguments(job: Bootstrap): string[] {
  return [
    '--mode=root',
    '--format=directory',
    '--variant=minbase',
    '--architectures=amd64',
    `--skip=${SKIPPED.join(',')}`,
    ...job.options.map((option) => `--aptopt=${option}`),
    // The tree is thrown away when anything goes wrong, so nothing need reach a disk before the next step.
    '--dpkgopt=force-unsafe-io',
    '--dpkgopt=force-confold',
    `--setup-hook=${bind(job.archives, '/var/cache/apt/archives')}`,
    `--setup-hook=${bind(job.lists, '/var/lib/apt/lists')}`,
    `--include=${job.packages.join(',')}`,
    job.suite,
    job.root,
    ...job.sources.map(sourceLine),
  ];
}

/** mmdebstrap runs hooks by a shell with the root as `$1`. */
function bind(from: string, to: string): string {
  return `mkdir -p "$1${to}" && mount --bind ${shellQuoted(from)} "$1${to}"`;
}

export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What is left of mmdebstrap's and this build's own settings in the guest. */
export const BOOTSTRAP_LEFTOVERS = ['/etc/apt/apt.conf.d/99mmdebstrap', '/etc/dpkg/dpkg.cfg.d/99mmdebstrap'];
