import { byteSize } from '@polyvisor/core';
import { z } from 'zod';

const line = z
  .string()
  .refine(
    (value) => value.trim() !== '' && value.length <= 80 && !/\p{Control}/u.test(value),
    'must be one line of 1 to 80 characters',
  );

/** On a command line, a name may look like a number. */
const name = z.union([line, z.number().transform(String)]);

/** First hardware version of VMware that has the thing. */
const SINCE = { sata: 10, e1000e: 8, uefi: 8 } as const;

export const ovaOptions = z
  .strictObject({
    flavour: z
      .enum(['vmware', 'virtualbox'])
      .default('vmware')
      .describe('Whom the machine is described for: vmware (ESXi, vCenter, Workstation, Fusion) or virtualbox'),
    hardware: z
      .number()
      .int()
      .min(7)
      .max(22)
      .optional()
      .describe(
        'Only vmware: hardware version (vmx-N), default 13 = ESXi 6.5 and later; 10 = 5.5, 17 = 7.0, 20 = 8.0. Older hosts refuse newer versions',
      ),
    cpus: z.number().int().min(1).max(128).optional().describe("Virtual processors, default: the appliance's"),
    memory: byteSize()
      .refine((bytes) => bytes >= 4 * 2 ** 20 && bytes <= 6 * 2 ** 40, 'must be 4M to 6T')
      .optional()
      .describe("Memory, such as 2G, rounded up to 4 MiB; default: the appliance's"),
    controller: z
      .enum(['lsilogic', 'sata', 'pvscsi', 'ide'])
      .default('lsilogic')
      .describe('What the disk is attached to: lsilogic (SCSI, widest), sata (AHCI), pvscsi (only vmware), ide'),
    firmware: z.enum(['bios', 'uefi']).optional().describe('Default: bios if the appliance boots under it, else uefi'),
    networks: z
      .union([z.array(name), name.transform((value) => (value === 'none' ? [] : [value]))])
      .refine((list) => list.length <= 8, 'at most 8')
      .refine((list) => new Set(list).size === list.length, 'each name once')
      .optional()
      .describe(
        "Name of a network to attach an adapter to, several times for several adapters, or 'none'. Default for vmware: none, because an adapter on a named network cannot be deployed at sites that have only distributed switches; add one when deploying. Default for virtualbox: NAT",
      ),
    adapter: z
      .enum(['e1000', 'e1000e', 'vmxnet3', 'pcnet32'])
      .default('e1000')
      .describe('Kind of network adapter; e1000e and vmxnet3 only for vmware'),
    name: name
      .optional()
      .describe("Name of the machine; the files inside are named after it. Default: the appliance's name"),
    manifest: z
      .enum(['sha256', 'sha1', 'sha512'])
      .default('sha256')
      .describe('Digest of the manifest: sha256; sha1 for vSphere before 6.5; sha512 for vSphere 6.7 and later'),
    level: z
      .number()
      .int()
      .min(1)
      .max(9)
      .default(4)
      .describe('Effort of compression, 1 (fast) to 9 (small). Compression is shared with a qcow2 of the same level'),
  })
  .superRefine((options, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    const hardware = options.hardware ?? DEFAULT_HARDWARE;
    if (options.flavour === 'virtualbox') {
      if (options.hardware !== undefined)
        issue('hardware', 'is a version of VMware, leave it out for flavour=virtualbox');
      if (options.controller === 'pvscsi') issue('controller', 'VirtualBox has no pvscsi, choose lsilogic or sata');
      if (options.adapter === 'e1000e' || options.adapter === 'vmxnet3')
        issue('adapter', `VirtualBox has no ${options.adapter}, choose e1000`);
      return;
    }
    if (options.controller === 'sata' && hardware < SINCE.sata)
      issue('controller', `sata needs hardware=${SINCE.sata} or later`);
    if (options.adapter === 'e1000e' && hardware < SINCE.e1000e)
      issue('adapter', `e1000e needs hardware=${SINCE.e1000e} or later`);
    if (options.firmware === 'uefi' && hardware < SINCE.uefi)
      issue('firmware', `uefi needs hardware=${SINCE.uefi} or later`);
  });

export type OvaOptions = z.output<typeof ovaOptions>;

/** ESXi 6.5: the oldest that still takes SHA-256 manifests, and what every later release runs. */
export const DEFAULT_HARDWARE = 13;
