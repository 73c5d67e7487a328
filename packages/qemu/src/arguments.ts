/** What runs the guest's code, as QEMU names it. */
export type Accelerator = 'kvm' | 'tcg';

/** Firmware files of a UEFI machine. `variables` is a copy that the guest may write to. */
export interface UefiFiles {
  readonly code: string;
  readonly variables: string;
}

/** A guest that ends by itself at once, to try an accelerator with. `image` is a raw disk with a boot sector. */
export function probeArguments(accelerator: Accelerator, image: string): string[] {
  return [
    '-nodefaults',
    '-no-user-config',
    ...['-display', 'none'],
    ...['-machine', 'pc'],
    ...['-accel', accelerator],
    // The same processor as later: there are machines where it is just this one that KVM cannot make.
    ...['-cpu', processor(accelerator)],
    ...['-m', '32M'],
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
    ...['-drive', `if=none,id=disk,snapshot=on,format=raw,file=${escapeCommas(image)}`],
    ...['-device', 'virtio-blk-pci,drive=disk'],
  ];
}

/** Newest distributions want a newer processor than QEMU's default; these two have all that there is to have. */
export function processor(accelerator: Accelerator): string {
  return accelerator === 'kvm' ? 'host' : 'max';
}

/** The two flash chips of a UEFI machine; none for BIOS. */
export function uefiArguments(uefi: UefiFiles | undefined): string[] {
  if (uefi === undefined) return [];
  return [
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${escapeCommas(uefi.code)}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${escapeCommas(uefi.variables)}`],
  ];
}

/** In QEMU's option lists a comma inside a value is written twice. */
export function escapeCommas(value: string): string {
  return value.replaceAll(',', ',,');
}
