import type { ConsoleText } from '@polyvisor/machine';

/** What a guest prints when it will never reach its login prompt. Seen early, these spare the whole time limit. */
const DEAD_ENDS: readonly (readonly [pattern: RegExp, meaning: string])[] = [
  [
    /No bootable device\./,
    'the firmware found nothing to boot from: the disk has no boot loader for BIOS, or the controller is not one it knows',
  ],
  [
    /UEFI Interactive Shell.*|No bootable option or device was found/,
    'the firmware found nothing to boot from: the disk has no EFI system partition with a boot loader',
  ],
  [/grub rescue>/, 'GRUB did not find its files'],
  [/Kernel panic - not syncing.*/, 'the kernel panicked'],
  [
    /\(initramfs\)/,
    'the initramfs did not find the root file system: a driver for this controller is missing, or the UUID is wrong',
  ],
  [/You are in emergency mode/, 'a unit that the boot needs failed, most often a mount from /etc/fstab'],
];

/** The reason why this boot is lost, or undefined. */
export function findDeadEnd(text: ConsoleText): string | undefined {
  for (const [pattern, meaning] of DEAD_ENDS) {
    const line = text.lineMatching(pattern);
    if (line !== undefined) return `${meaning} (“${line}”)`;
  }
  return undefined;
}
