/**
 * Kernel modules that the initramfs must have so that one disk boots everywhere, whatever machine it was built on. Each
 * is loaded only where the device is. A name that a kernel does not have, or has built in, does no harm.
 */
export const TARGET_DRIVERS: Readonly<Record<string, readonly string[]>> = {
  'KVM, CloudStack, Proxmox, VirtualBox (virtio)': [
    'virtio_pci',
    'virtio_mmio',
    'virtio_blk',
    'virtio_scsi',
    'virtio_net',
    'virtio_console',
    'virtio_balloon',
    'virtio_rng',
  ],
  'XenServer, XCP-ng': ['xen-blkfront', 'xen-netfront', 'xen-scsifront', 'xen-kbdfront', 'xen-fbfront'],
  'Hyper-V, Azure': [
    'hv_vmbus',
    'hv_storvsc',
    'hv_netvsc',
    'hv_utils',
    'hv_balloon',
    'hyperv-keyboard',
    'hid-hyperv',
    'hyperv_fb',
    'hyperv_drm',
    'pci-hyperv',
  ],
  VMware: [
    'vmw_pvscsi',
    'vmxnet3',
    'mptspi',
    'mptsas',
    'mptscsih',
    'mptbase',
    'BusLogic',
    'vmw_balloon',
    'vmw_vmci',
    'vmwgfx',
  ],
  'SATA, IDE, SAS and NVMe controllers': [
    'ahci',
    'ata_piix',
    'ata_generic',
    'pata_acpi',
    'sym53c8xx',
    'megaraid_sas',
    'mpt3sas',
    'nvme',
    'sd_mod',
    'sr_mod',
    'cdrom',
    'usb-storage',
    'uas',
    'xhci-pci',
    'ehci-pci',
    'uhci-hcd',
    'ohci-pci',
  ],
  'emulated network cards': ['e1000', 'e1000e', 'pcnet32', '8139cp', '8139too'],
  'keyboards and file systems': [
    'atkbd',
    'i8042',
    'usbhid',
    'hid-generic',
    'ext4',
    'crc32c_generic',
    'crc32c-intel',
    'vfat',
    'isofs',
    'nls_ascii',
    'nls_cp437',
    'nls_utf8',
  ],
};

/** A hook for initramfs-tools(7): its own functions copy the modules, with all that they depend on, at every update. */
export function initramfsHook(): string {
  const groups = Object.entries(TARGET_DRIVERS).map(
    ([target, modules]) => `# ${target}\nmanual_add_modules ${modules.join(' ')}\n`,
  );
  return `#!/bin/sh
# Drivers for every hypervisor, so that this system boots wherever its disk is attached.
case "$1" in prereqs) exit 0 ;; esac
. /usr/share/initramfs-tools/hook-functions

${groups.join('\n')}`;
}

/**
 * Overrides the defaults of initramfs.conf(5). `list` leaves the choice to the hook: a third of the size of `most`
 * and made in a sixth of the time. No resuming, so that the boot does not wait for a swap area.
 */
export function initramfsConfiguration(drivers: 'targets' | 'most'): string {
  return `MODULES=${drivers === 'most' ? 'most' : 'list'}\nRESUME=none\n`;
}
