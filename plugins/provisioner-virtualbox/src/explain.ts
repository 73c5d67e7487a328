/** What a failure of VirtualBox means, in words that a person can act on. */
export interface Explanation {
  readonly reason: string;
  readonly hint: string;
}

/** From the names that VirtualBox gives its errors, which stay the same through its releases; the words around them do not. */
const KNOWN: readonly (readonly [RegExp, Explanation])[] = [
  [
    /VERR_VM_DRIVER_NOT_INSTALLED|VERR_SUP_DRIVERLESS|\b-1908\b|driver not installed|vboxdrv/i,
    {
      reason: 'its kernel driver (vboxdrv) is not loaded',
      hint:
        'load it with `sudo modprobe vboxdrv`; build it first where there is none (Debian: virtualbox-dkms and the headers of ' +
        'the running kernel); with Secure Boot it has to be signed. Without it: --provisioner virtualbox:execution-engine=interpreter',
    },
  ],
  [
    /VERR_VM_DRIVER_NOT_ACCESSIBLE|\b-1909\b/,
    {
      reason: 'this user may not open its kernel driver (/dev/vboxdrv)',
      hint: 'see `ls -l /dev/vboxdrv`; add the user to the group vboxusers and log in again',
    },
  ],
  [
    /VERR_VM_DRIVER_VERSION_MISMATCH|VERR_SUPDRV_INTERFACE_TOO_(?:OLD|NEW)|\b-1912\b/,
    {
      reason: 'its kernel driver belongs to another version of VirtualBox',
      hint: 'build the driver again (`sudo /sbin/vboxconfig`, or reinstall virtualbox-dkms) and load it: `sudo modprobe -r vboxdrv; sudo modprobe vboxdrv`',
    },
  ],
  [
    /VERR_(?:VMX_IN_VMX_ROOT_MODE|SVM_IN_USE|VMX_UNABLE_TO_START_VM)/,
    {
      reason: 'another hypervisor (KVM) holds the hardware virtualisation of this processor',
      hint:
        'end its machines and unload it (`sudo modprobe -r kvm_intel kvm_amd`); Linux 6.12 and newer hold it from loading on: ' +
        'start the kernel with kvm.enable_virt_at_load=0',
    },
  ],
  [
    /VERR_(?:VMX_NO_VMX|SVM_NO_SVM|VMX_MSR_\w*(?:DISABLED|LOCKED)\w*|SVM_DISABLED|HM_NO_\w+)/,
    {
      reason: 'this processor offers no hardware virtualisation',
      hint: 'enable VT-x or AMD-V in the firmware of this computer, or nested virtualisation where it is a machine itself',
    },
  ],
  [
    /VERR_NEM_\w+/,
    {
      reason: "the host's own hypervisor cannot be used by this VirtualBox",
      hint: 'choose another execution engine: --provisioner virtualbox:execution-engine=interpreter',
    },
  ],
  [
    /VERR_DISK_FULL|DISKFULL|No space left/i,
    { reason: 'a disk of this computer is full', hint: 'make room, or put temporary files elsewhere (TMPDIR)' },
  ],
  [
    /VERR_NO_MEMORY|VERR_NO_PAGE_MEMORY|VERR_GMM_HIT_GLOBAL_LIMIT|out of memory/i,
    {
      reason: 'this computer has not enough free memory for the machine',
      hint: 'give it less: `memory` in the definition',
    },
  ],
];

/** Undefined for what is not known. */
export function explain(words: string): Explanation | undefined {
  return KNOWN.find(([pattern]) => pattern.test(words))?.[1];
}
