import type { Appliance } from '@polyvisor/core';

/** What every guest needs to boot everywhere: kernel, both boot loaders (signed, for Secure Boot), initramfs, init. */
const BOOTABLE = ['grub-cloud-amd64', 'initramfs-tools', 'zstd', 'systemd-sysv', 'udev', 'kmod', 'e2fsprogs', 'tzdata'];

/** Has the drivers of every hypervisor; Debian's "cloud" kernel has no AHCI, which VirtualBox and VMware offer first. */
const KERNEL = 'linux-image-amd64';

/** The packages to install, in order and without repetition. A definition that names a kernel gets that one only. */
export function packagesOf({ packages, users, locale }: Appliance): string[] {
  const ownKernel = packages.some((name) => name.startsWith('linux-image-'));
  return [
    ...new Set([
      ...(ownKernel ? [] : [KERNEL]),
      ...BOOTABLE,
      ...(users.some(({ sudo, name }) => sudo && name !== 'root') ? ['sudo'] : []),
      ...(needsLocales(locale) ? ['locales'] : []),
      ...packages,
    ]),
  ];
}

/** The C locales are part of libc; all others are made by the package `locales`. */
export function needsLocales(locale: string): boolean {
  return !/^(?:C|POSIX)(?:\.|$)/.test(locale);
}
