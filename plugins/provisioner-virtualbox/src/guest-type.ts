/** VirtualBox's names of guests, by family: those that all of its releases from 6.1 on know. All are 64-bit. */
const TYPES: Readonly<Record<string, string>> = {
  debian: 'Debian_64',
  devuan: 'Debian_64',
  ubuntu: 'Ubuntu_64',
  fedora: 'Fedora_64',
  rhel: 'RedHat_64',
  centos: 'RedHat_64',
  rocky: 'RedHat_64',
  almalinux: 'RedHat_64',
  oracle: 'Oracle_64',
  opensuse: 'OpenSUSE_64',
  arch: 'ArchLinux_64',
  gentoo: 'Gentoo_64',
  alpine: 'Linux26_64',
  linux: 'Linux26_64',
  freebsd: 'FreeBSD_64',
  openbsd: 'OpenBSD_64',
  netbsd: 'NetBSD_64',
  windows: 'Windows10_64',
};

/** For `createvm --ostype`: it decides little, since everything that matters is set besides. */
export function guestType(family: string): string {
  const known = Object.hasOwn(TYPES, family.toLowerCase()) ? TYPES[family.toLowerCase()] : undefined;
  return known ?? 'Other_64';
}
