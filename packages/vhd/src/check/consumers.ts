/**
 * Who loads VHD, as `check --for` names them. The rules of blktap (XenServer, XCP-ng, CloudStack on Xen) are those of its
 * `vhd-util check`; of QEMU those of its `vpc` driver; Hyper-V's and Azure's are documented by Microsoft.
 */
export const VHD_CONSUMERS = ['kvm', 'xenserver', 'xcp-ng', 'cloudstack', 'hyperv', 'azure', 'virtualbox'] as const;

export type Consumer = (typeof VHD_CONSUMERS)[number];

export const BLKTAP: readonly Consumer[] = ['xenserver', 'xcp-ng', 'cloudstack'];
export const MICROSOFT: readonly Consumer[] = ['hyperv', 'azure'];
export const EVERYBODY: readonly Consumer[] = VHD_CONSUMERS;

export function isBlktap(consumer: string | undefined): boolean {
  return BLKTAP.some((name) => name === consumer);
}
