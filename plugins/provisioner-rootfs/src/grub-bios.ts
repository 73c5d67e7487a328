import { FormatError } from '@polyvisor/core';

/**
 * Makes GRUB's BIOS boot code find its core image in the BIOS boot partition: what `grub-bios-setup` does to a device,
 * done to two small files. Field names and places: GRUB 2.06, include/grub/i386/pc/boot.h and grub-core/boot/i386/pc/*.S.
 */
const SECTOR = 512;
/** GRUB_BOOT_MACHINE_KERNEL_SECTOR in boot.img: 64-bit number of the core image's first sector. */
const KERNEL_SECTOR = 0x5c;
/** GRUB_BOOT_MACHINE_BOOT_DRIVE in boot.img: FF means the drive that the BIOS booted from. */
const BOOT_DRIVE = 0x64;
/** GRUB_BOOT_MACHINE_DRIVE_CHECK in boot.img: a jump that trusts the BIOS's drive number only for floppies; two NOPs otherwise. */
const DRIVE_CHECK = 0x66;
/** In diskboot.img, the core's first sector: the first block list, which grows downwards from the sector's end. */
const BLOCK_LIST = SECTOR - 12;
/** Where the rest of the core is loaded: GRUB_BOOT_MACHINE_KERNEL_SEG 0x800 plus one sector, as a real-mode segment. */
const LOAD_SEGMENT = 0x820;
/** Boot code ends where the disk's signature starts. */
const BOOT_CODE_BYTES = 440;

export interface GrubBios {
  /** For the first 440 bytes of the MBR. */
  readonly bootCode: Uint8Array;
  /** For the BIOS boot partition, from its first sector. */
  readonly core: Uint8Array;
}

/** `partition` is the BIOS boot partition, in sectors; `boot` and `core` are boot.img and what grub-mkimage made. */
export function embedGrub(
  boot: Uint8Array,
  core: Uint8Array,
  partition: { readonly firstSector: number; readonly sectors: number },
): GrubBios {
  if (boot.length !== SECTOR || boot[510] !== 0x55 || boot[511] !== 0xaa) {
    throw new FormatError('grub-image', "GRUB's boot.img is not a boot sector", {
      expected: '512 bytes that end with 55 aa',
      found: `${boot.length} bytes`,
    });
  }
  const sectors = Math.ceil(core.length / SECTOR);
  if (sectors < 2 || sectors > partition.sectors) {
    throw new FormatError('grub-image', "GRUB's core image does not fit the BIOS boot partition", {
      expected: `2 to ${partition.sectors} sectors`,
      found: `${sectors} sectors`,
    });
  }
  const patchedBoot = Uint8Array.from(boot);
  const bootView = new DataView(patchedBoot.buffer);
  bootView.setBigUint64(KERNEL_SECTOR, BigInt(partition.firstSector), true);
  patchedBoot[BOOT_DRIVE] = 0xff;
  patchedBoot.set([0x90, 0x90], DRIVE_CHECK);

  const patchedCore = new Uint8Array(sectors * SECTOR);
  patchedCore.set(core);
  const coreView = new DataView(patchedCore.buffer);
  coreView.setBigUint64(BLOCK_LIST, BigInt(partition.firstSector + 1), true);
  coreView.setUint16(BLOCK_LIST + 8, sectors - 1, true);
  coreView.setUint16(BLOCK_LIST + 10, LOAD_SEGMENT, true);
  return { bootCode: patchedBoot.subarray(0, BOOT_CODE_BYTES), core: patchedCore };
}
