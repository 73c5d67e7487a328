/** What can run the guest's code, and QEMU has a name for. */
export type Accelerator = 'kvm' | 'hvf' | 'whpx' | 'tcg';

/** Firmware files of a UEFI machine. `variables` is a copy that the guest may write to. */
export interface UefiFiles {
  readonly code: string;
  readonly variables: string;
}

/** What every machine needs. */
export interface MachineBasics {
  /** As `-machine` names it. */
  readonly machine: string;
  readonly accelerator: Accelerator;
  /** Model; absent: the best that there is. */
  readonly cpu?: string | undefined;
  readonly cpus: number;
  /** In bytes. */
  readonly memory: number;
  /** Required for UEFI. */
  readonly uefi?: UefiFiles | undefined;
  /** As `-display` takes it; absent: none. */
  readonly display?: string | undefined;
}

/** The start of a command line, from which nothing is left to QEMU's defaults or to a user's own configuration. */
export function basicArguments(basics: MachineBasics): string[] {
  const { accelerator, cpu = processor(accelerator), display = 'none' } = basics;
  return [
    '-nodefaults',
    '-no-user-config',
    ...['-display', display],
    ...['-machine', basics.machine],
    ...['-accel', acceleratorArgument(accelerator)],
    ...['-cpu', cpu],
    ...['-smp', String(basics.cpus)],
    ...['-m', `${Math.max(1, Math.floor(basics.memory / 2 ** 20))}M`],
    ...uefiArguments(basics.uefi),
  ];
}

/** A guest that ends by itself at once, to try an accelerator with. `image` is a raw disk with a boot sector. */
export function probeArguments(accelerator: Accelerator, cpu: string | undefined, image: string): string[] {
  return [
    // The same processor as later: there are machines where it is just this one that KVM cannot make.
    ...basicArguments({ machine: 'pc', accelerator, cpu, cpus: 1, memory: 32 * 2 ** 20 }),
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
    ...['-drive', `if=none,id=disk,snapshot=on,format=raw,file=${escapeCommas(image)}`],
    ...['-device', 'virtio-blk-pci,drive=disk'],
  ];
}

/** Newest distributions want a newer processor than QEMU's default; these have all that there is to have. */
export function processor(accelerator: Accelerator): string {
  return accelerator === 'kvm' || accelerator === 'hvf' ? 'host' : 'max';
}

function acceleratorArgument(accelerator: Accelerator): string {
  if (accelerator === 'tcg') return 'tcg,thread=multi';
  // Windows' interface cannot take over QEMU's interrupt controller for guests with BIOS.
  return accelerator === 'whpx' ? 'whpx,kernel-irqchip=off' : accelerator;
}

function uefiArguments(uefi: UefiFiles | undefined): string[] {
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
