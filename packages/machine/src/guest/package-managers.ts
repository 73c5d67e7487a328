/** A way to install packages that a guest may have. */
export interface PackageManager {
  /** The command by which it is recognised. */
  readonly command: string;
  /** Shell; absent where installing does it. */
  readonly update?: string;
  /** Shell; the packages are `"$@"`. What they only recommend is left out, as everywhere in polyvisor. */
  readonly install: string;
  /** Exit codes that mean success with a remark. */
  readonly acceptExitCodes?: readonly number[];
}

// An installation waits for a lock that a service of the first start holds, where the tool can.
const APT = `DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any`;

/** The first that a guest has is used. */
export const PACKAGE_MANAGERS: readonly PackageManager[] = [
  {
    command: 'apt-get',
    update: `${APT} update`,
    install: `${APT} -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-install-recommends install -- "$@"`,
  },
  { command: 'dnf', install: 'dnf -y --setopt=install_weak_deps=False install -- "$@"' },
  { command: 'yum', install: 'yum -y install -- "$@"' },
  {
    command: 'zypper',
    update: 'zypper --non-interactive refresh',
    install: 'zypper --non-interactive install --no-recommends --auto-agree-with-licenses -- "$@"',
    // A restart, or another run of zypper, is recommended.
    acceptExitCodes: [0, 102, 103],
  },
  { command: 'apk', update: 'apk update', install: 'apk add -- "$@"' },
];

/** Somebody else installs right now. */
export const LOCKED =
  /Could not get lock|Unable to (?:lock|acquire)|is another process using it|System management is locked|Another app is currently holding/;

/** A name that no repository has, as each tool words it; yum goes on without, and succeeds. */
export const UNKNOWN_PACKAGE = new RegExp(
  [
    'Unable to locate package (\\S+)',
    "Package '?(\\S+?)'? has no installation candidate",
    '(?:No match for argument|Unable to find a match): *(.+)',
    'No package (\\S+) available',
    "No provider of '(.+?)' found",
    "Package '(.+?)' not found",
    '^ +(\\S+) \\(no such package\\)',
  ].join('|'),
  'm',
);
