import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { embedGrub, type GrubBios } from './grub-bios.js';
import { type Layout, partitionOf } from './layout.js';
import type { Sandbox } from './sandbox.js';

/**
 * Answers for update-grub what grub-probe would find out from the devices under a running guest. The guest's own runs of
 * update-grub then ask the real one and get the same.
 */
function probeScript(layout: Layout): string {
  const root = partitionOf(layout, '/');
  const boot = partitionOf(layout, '/boot');
  return `#!/bin/sh
target= uuid=${root.uuid}
for argument; do
  case "$argument" in
    --target=*) target=\${argument#--target=} ;;
    /boot*) uuid=${boot.uuid} ;;
    /dev/disk/by-uuid/*) uuid=\${argument##*/} ;;
  esac
done
case "$target" in
  device) echo "/dev/disk/by-uuid/$uuid" ;;
  fs) echo ext2 ;;
  fs_uuid) echo "$uuid" ;;
  partmap) echo gpt ;;
  drive) echo "(hd0)" ;;
esac
`;
}

/**
 * Installs what `grub-install` would, from the guest's own packages: modules on the boot file system, signed EFI programs
 * in both the distribution's and the removable place of the EFI system partition, each with a stub that finds the boot
 * file system by its UUID, and a core image for the BIOS. `$1` root, `$2` UUID, `$3` GRUB's directory on its file system.
 */
const INSTALL = `
root=$1 uuid=$2 prefix=$3
stub="search.fs_uuid $uuid root
set prefix=(\\$root)'$prefix'"
for platform in i386-pc x86_64-efi; do
  mkdir -p "$root/boot/grub/$platform"
  cp -p "$root/usr/lib/grub/$platform"/*.mod "$root/usr/lib/grub/$platform"/*.lst "$root/boot/grub/$platform/"
done
for place in debian BOOT; do
  efi="$root/boot/efi/EFI/$place"
  mkdir -p "$efi"
  cp "$root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$efi/grubx64.efi"
  cp "$root/usr/lib/shim/mmx64.efi.signed" "$efi/mmx64.efi"
  printf '%s\\nconfigfile $prefix/grub.cfg\\n' "$stub" >"$efi/grub.cfg"
done
cp "$root/usr/lib/shim/shimx64.efi.signed" "$root/boot/efi/EFI/debian/shimx64.efi"
cp "$root/usr/lib/shim/shimx64.efi.signed" "$root/boot/efi/EFI/BOOT/BOOTX64.EFI"
printf '%s\\n' "$stub" >"$root/run/load.cfg"
`;

/** What the BIOS core image must know before it can read its other modules. */
const CORE_MODULES = ['biosdisk', 'part_gpt', 'ext2', 'search_fs_uuid'];

/** Prepares the boot loader inside the guest's tree; its guest-side mounts must be there. Returns what goes outside of file systems. */
export async function installGrub(sandbox: Sandbox, layout: Layout, workDir: string): Promise<GrubBios> {
  const { root } = sandbox;
  const boot = partitionOf(layout, '/boot');
  const prefix = boot.mount === '/' ? '/boot/grub' : '/grub';
  await sandbox.shell(INSTALL, [root, boot.uuid, prefix]);
  await sandbox.chroot('grub-mkimage', [
    '--format=i386-pc',
    '--directory=/usr/lib/grub/i386-pc',
    '--output=/run/core.img',
    `--prefix=${prefix}`,
    '--config=/run/load.cfg',
    ...CORE_MODULES,
  ]);
  await sandbox.chroot('grub-editenv', ['/boot/grub/grubenv', 'create']);
  await updateGrub(sandbox, layout, workDir);
  const [bootImage, coreImage] = [join(workDir, 'boot.img'), join(workDir, 'core.img')];
  await sandbox.shell('cp "$1/usr/lib/grub/i386-pc/boot.img" "$2"; cp "$1/run/core.img" "$3"', [
    root,
    bootImage,
    coreImage,
  ]);
  const { firstSector, lastSector } = layout.biosBoot;
  return embedGrub(await readFile(bootImage), await readFile(coreImage), {
    firstSector,
    sectors: lastSector - firstSector + 1,
  });
}

/** Has the guest write its own grub.cfg. It names the root file system by UUID only if it sees such a device. */
async function updateGrub(sandbox: Sandbox, layout: Layout, workDir: string): Promise<void> {
  const probe = join(workDir, 'grub-probe');
  await writeFile(probe, probeScript(layout), { mode: 0o755 });
  await sandbox.shell(
    `root=$1 probe=$2
    shift 2
    mkdir -p "$root/dev/disk/by-uuid"
    for uuid; do : >"$root/dev/disk/by-uuid/$uuid"; done
    mount --bind "$probe" "$root/usr/sbin/grub-probe"`,
    [sandbox.root, probe, ...layout.partitions.map(({ uuid }) => uuid)],
  );
  try {
    await sandbox.chroot('update-grub');
  } finally {
    await sandbox.shell('umount "$1/usr/sbin/grub-probe"', [sandbox.root]);
  }
}
