import type { Appliance } from '@polyvisor/core';
import { initramfsConfiguration, initramfsHook } from './drivers.js';
import type { Layout } from './layout.js';
import { type AptSource, sourceLine } from './mirror.js';
import type { RootfsOptions } from './options.js';
import { needsLocales } from './packages.js';

/** A file that this provisioner writes into the guest. */
export interface GuestFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/** Settings that every guest gets, before the definition's own files, which may replace them. */
export function guestFiles(appliance: Appliance, layout: Layout, options: RootfsOptions): GuestFile[] {
  const { hostname, locale, timezone } = appliance;
  const text = (path: string, content: string, mode = 0o644): GuestFile => ({ path, mode, text: content });
  return [
    text('/etc/hostname', `${hostname}\n`),
    text(
      '/etc/hosts',
      `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n`,
    ),
    text('/etc/fstab', fstab(layout)),
    text('/etc/default/locale', `LANG=${locale}\n`),
    ...(needsLocales(locale) ? [text('/etc/locale.gen', `${locale} ${charset(locale)}\n`)] : []),
    text('/etc/timezone', `${timezone}\n`),
    text('/etc/default/grub.d/50-polyvisor.cfg', grubDefaults(appliance)),
    // Lets grub-cloud-amd64 install GRUB again, BIOS and UEFI, whenever the guest upgrades it.
    text('/etc/grub.d/enable_cloud', ''),
    text('/etc/initramfs-tools/conf.d/polyvisor', initramfsConfiguration(options.initramfs)),
    text('/etc/initramfs-tools/hooks/polyvisor', initramfsHook(), 0o755),
  ];
}

/** Every file system by its UUID: names of devices differ between hypervisors. */
export function fstab({ partitions, esp }: Layout): string {
  const lines = partitions.map(({ filesystem, uuid, mount, grows }) => {
    if (filesystem === 'swap') return `UUID=${uuid} none swap sw,nofail 0 0`;
    const options = [mount === '/' ? 'errors=remount-ro' : 'defaults', ...(grows ? ['x-systemd.growfs'] : [])];
    return `UUID=${uuid} ${mount} ext4 ${options.join(',')} 0 ${mount === '/' ? 1 : 2}`;
  });
  const id = esp.volumeId.toUpperCase();
  // Not being able to mount it must not keep the system from booting.
  lines.push(`UUID=${id.slice(0, 4)}-${id.slice(4)} /boot/efi vfat umask=0077,nofail 0 0`);
  return `${lines.join('\n')}\n`;
}

/**
 * The consoles of every target: the last one gets /dev/console, where systemd starts a login as well as on tty1; on Xen's
 * hvc0 it does so by itself. GRUB, too, speaks on both.
 */
function grubDefaults({ kernelArguments }: Appliance): string {
  const line = ['console=tty0', 'console=ttyS0,115200n8', ...kernelArguments].join(' ');
  return `# Read by update-grub after /etc/default/grub.
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="${line}"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
`;
}

/** Where the guest's apt looks from now on. */
export function guestSourcesList(sources: readonly AptSource[], trusted: string): GuestFile {
  const lines = sources.map((source) => sourceLine({ ...source, signedBy: trusted }));
  return { path: '/etc/apt/sources.list', mode: 0o644, text: `${lines.join('\n')}\n` };
}

/** The character set that locale.gen wants beside the name. */
function charset(locale: string): string {
  const set = /\.([A-Za-z0-9-]+)/.exec(locale)?.[1] ?? 'ISO-8859-1';
  return /^utf-?8$/i.test(set) ? 'UTF-8' : set;
}
