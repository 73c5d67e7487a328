import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { output } from './process.mjs';

const BOOT = fileURLToPath(new URL('../boot', import.meta.url));

const ISOLINUX = '/usr/lib/ISOLINUX/isolinux.bin';
const LOADER_MODULE = '/usr/lib/syslinux/modules/bios/ldlinux.c32';
const UEFI_LOADER = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi';

/** Code of a master boot record, which starts the active partition; padded to where a disk's signature begins. */
export function masterBootCode() {
  const code = readFileSync('/usr/lib/syslinux/mbr/mbr.bin');
  return Buffer.concat([code, Buffer.alloc(440)]).subarray(0, 440);
}

/** Consoles on the screen and, the last one and thus the one of /dev/console, on the serial port. */
const ARGUMENTS = 'console=tty0 console=ttyS0,115200 loglevel=4';

/** The partition from which firmware of either kind starts the installed system: FAT, made at the place `path`. */
export async function bootPartition(path, kernel) {
  const files = {
    ...uefiFiles(kernel, 'tiny.conf', 'timeout 0\n'),
    'syslinux.cfg': configuration('syslinux.cfg', ARGUMENTS),
  };
  await fatImage(path, 'TINYBOOT', files);
  // Writes ldlinux.sys, finds where it lies, and makes the boot sector load it.
  await output('syslinux', ['--install', path]);
}

/** The medium of the installer: an ISO image that both kinds of firmware start. `work` is an empty folder. */
export async function installerMedium(path, work, { kernel, initrd, bootImage }) {
  const uefi = { ...uefiFiles(kernel, 'install.conf', configuration('loader.conf', '')), initrd };
  await fatImage(join(work, 'uefi.img'), 'TINYUEFI', uefi);
  const tree = join(work, 'tree');
  const files = {
    'boot/vmlinuz': kernel,
    'boot/initrd': initrd,
    'boot/boot.img': bootImage,
    'boot/uefi.img': readFileSync(join(work, 'uefi.img')),
    'isolinux/isolinux.bin': readFileSync(ISOLINUX),
    'isolinux/ldlinux.c32': readFileSync(LOADER_MODULE),
    'isolinux/isolinux.cfg': configuration('isolinux.cfg', ARGUMENTS),
  };
  writeTree(tree, files);
  const bios = ['-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table'];
  const other = ['-eltorito-alt-boot', '-e', 'boot/uefi.img', '-no-emul-boot'];
  await output('xorriso', ['-as', 'mkisofs', '-quiet', '-V', 'TINYLINUX', '-J', '-R', '-o', path, ...bios, ...other, tree]);
}

function uefiFiles(kernel, entry, loader) {
  return {
    vmlinuz: kernel,
    'EFI/BOOT/BOOTX64.EFI': readFileSync(UEFI_LOADER),
    'loader/loader.conf': loader,
    [`loader/entries/${entry}`]: configuration(entry, ARGUMENTS),
  };
}

function configuration(name, kernelArguments) {
  return readFileSync(join(BOOT, name), 'utf8').replaceAll('@ARGUMENTS@', kernelArguments);
}

function writeTree(root, files) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

const MEBIBYTE = 2 ** 20;

/** A FAT file system of the files, with a mebibyte to spare. Without a clock or a random number in it. */
async function fatImage(path, label, files) {
  const bytes = Object.values(files).reduce((sum, content) => sum + content.length, 0);
  const size = (Math.ceil(bytes / MEBIBYTE) + 1) * MEBIBYTE;
  rmSync(path, { force: true });
  writeFileSync(path, '');
  truncateSync(path, size);
  await output('mkfs.vfat', ['-n', label, '-i', '54494e59', '--invariant', path]);
  const tree = `${path}.tree`;
  writeTree(tree, files);
  const tops = [...new Set(Object.keys(files).map((name) => name.split('/')[0]))].map((name) => join(tree, name));
  await output('mcopy', ['-i', path, '-s', '-m', ...tops, '::'], { env: { MTOOLS_SKIP_CHECK: '1' } });
  rmSync(tree, { recursive: true });
}
