import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { obtainBusybox } from './busybox.mjs';
import { cached, cachedOrMade, fingerprint, removeUnused } from './cache.mjs';
import { cpioArchive } from './cpio.mjs';
import { installedDisk } from './disk.mjs';
import { buildKernel } from './kernel.mjs';
import { bootPartition, installerMedium, masterBootCode } from './media.mjs';
import { output } from './process.mjs';
import { rootEntries } from './root.mjs';

const HERE = fileURLToPath(new URL('..', import.meta.url));

/** Packages whose version decides about the kernel, and about the rest. */
const KERNEL_PACKAGES = ['linux-source-6.1'];
const OTHER_PACKAGES = ['dropbear-bin', 'isolinux', 'libc6', 'libtomcrypt1', 'syslinux', 'syslinux-common', 'systemd-boot-efi'];

/** Names of what is made, by what decides about it: sources, scripts, versions of Debian's packages. */
export async function names() {
  const versions = new Map(
    (await output('dpkg-query', ['-W', '-f', '${Package} ${Version} ${db:Status-Status}\\n'])).split('\n').flatMap((line) => {
      const [name, version, status] = line.split(' ');
      return status === 'installed' ? [[name, version]] : [];
    }),
  );
  const version = (name) => `${name} ${versions.get(name) ?? 'none'}`;
  const kernel = fingerprint(['kernel/config', 'kernel/left-out', 'src/kernel.mjs'].map(here), KERNEL_PACKAGES.map(version));
  const files = ['boot', 'guest', 'src'].flatMap(filesBelow).filter((path) => !/\.test\.\w+$/.test(path));
  const all = fingerprint(files.map(here), [...files, kernel, ...OTHER_PACKAGES.map(version)]);
  return { kernel: `kernel-${kernel}`, busybox: `busybox-${fingerprint([here('src/busybox.mjs')], [version('libc6')])}`, tiny: `tiny-${all}` };
}

/** The folder with everything, if it has been made. */
export async function made(root) {
  return cached(root, (await names()).tiny);
}

/**
 * Makes what is missing below `root`, which nobody else may do at the same time, and returns the folder with everything: `vmlinuz` and
 * `initrd`, `tiny.iso`, `disk.raw`. `say` hears of each step that takes long.
 */
export async function build(root, say) {
  const name = await names();
  mkdirSync(root, { recursive: true });
  removeUnused(root);
  const kernel = await cachedOrMade(root, name.kernel, (work) => {
    say('compiling its kernel (two CPU minutes on a fast machine, ten on a slow one; once)');
    return buildKernel(work);
  });
  const busybox = await cachedOrMade(root, name.busybox, obtainBusybox);
  return cachedOrMade(root, name.tiny, (work) => {
    say('making its installer medium, and a disk by installing from it (half a minute)');
    return assemble(work, readFileSync(join(kernel, 'vmlinuz')), join(busybox, 'busybox'));
  });
}

async function assemble(work, kernel, busybox) {
  const at = (name) => join(work, name);
  writeFileSync(at('vmlinuz'), kernel);
  const initrd = cpioArchive(await rootEntries(busybox, { 'lib/tiny/mbr.bin': masterBootCode() }));
  await bootPartition(at('boot.img'), kernel);
  const bootImage = readFileSync(at('boot.img'));
  rmSync(at('boot.img'));
  // Started without the medium it has to bring along what it takes from there. The kernel reads one archive after the other.
  const supplement = cpioArchive([{ path: 'lib/tiny/boot.img', mode: 0o100644, content: bootImage }]);
  writeFileSync(at('initrd'), Buffer.concat([initrd, supplement]));
  const scratch = at('scratch');
  await inFolder(scratch, () => installerMedium(at('tiny.iso'), scratch, { kernel, initrd, bootImage }));
  await inFolder(scratch, () =>
    installedDisk(at('disk.raw'), scratch, { kernel: at('vmlinuz'), initrd: at('initrd') }),
  );
}

async function inFolder(folder, work) {
  mkdirSync(folder);
  await work();
  rmSync(folder, { recursive: true });
}

function here(path) {
  return join(HERE, path);
}

/** Relative to this package, sorted. */
function filesBelow(folder) {
  return readdirSync(here(folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(HERE.length))
    .sort();
}
