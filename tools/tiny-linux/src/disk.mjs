import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output } from './process.mjs';

const MEBIBYTE = 2 ** 20;
const SIZE = 64 * MEBIBYTE;

/** An installation takes about 10 seconds by translation; a busy machine gets a lot more. */
const LIMIT_MS = 5 * 60_000;

const ANSWERS = 'hostname=tiny\npassword=tiny\nfinish=poweroff\n';

/**
 * Has the installer make a disk, as a raw image at `path`: in QEMU, by translation, started without a boot loader, with its answers
 * on a medium. `work` is an empty folder.
 */
export async function installedDisk(path, work, { kernel, initrd }) {
  const seed = join(work, 'seed');
  mkdirSync(seed);
  writeFileSync(join(seed, 'tiny.cfg'), ANSWERS);
  await output('xorriso', ['-as', 'mkisofs', '-quiet', '-V', 'cidata', '-J', '-R', '-o', join(work, 'seed.iso'), seed]);
  writeFileSync(path, '');
  truncateSync(path, SIZE);
  const serial = join(work, 'serial');
  const drive = (file, ...more) => ['-drive', [`file=${file.replaceAll(',', ',,')}`, 'format=raw', ...more].join(',')];
  try {
    await output(
      'qemu-system-x86_64',
      [
        ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
        ...['-machine', 'pc', '-accel', 'tcg', '-m', '256M'],
        ...['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0,115200 quiet'],
        ...drive(path, 'if=virtio'),
        ...drive(join(work, 'seed.iso'), 'media=cdrom', 'readonly=on'),
        ...['-serial', `file:${serial.replaceAll(',', ',,')}`],
      ],
      { timeout: LIMIT_MS, killSignal: 'SIGKILL' },
    );
    if (!/TINY: installed, /.test(said(serial))) throw new Error('the machine went off before the end');
  } catch (error) {
    throw new Error(`the installer made no disk in QEMU: ${error.message}\n${said(serial)}`, { cause: error });
  }
  rmSync(seed, { recursive: true });
}

/** The end of what the guest said. */
function said(serial) {
  try {
    return readFileSync(serial, 'utf8').replaceAll('\r', '').split('\n').slice(-20).join('\n');
  } catch {
    return '';
  }
}
