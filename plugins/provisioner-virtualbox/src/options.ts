import { z } from 'zod';

/** Buses that the disk may be on. */
export const DISK_BUSES = ['sata', 'ide', 'virtio-scsi', 'scsi', 'nvme'] as const;

/** Options of `modifyvm` that this plugin sets by itself, without their dashes, and what sets them instead. */
const OURS: Readonly<Record<string, string>> = {
  name: 'the name of the appliance',
  memory: '`memory` in the definition',
  cpus: '`cpus` in the definition',
  firmware: '`firmware` in the definition',
  chipset: 'the option chipset',
  vram: 'the option video-memory',
  graphicscontroller: 'the option graphics-controller',
  nic1: 'nothing: the first adapter is how the guest is reached',
  nictype1: 'the option network-adapter',
  natpf1: 'nothing: ports are forwarded as they are needed',
  natlocalhostreachable1: 'nothing: it is on',
  uart1: 'nothing: the first serial port is the console',
  uartmode1: 'nothing: the first serial port is the console',
  boot1: 'nothing: the disk is started first, then the media',
  boot2: 'nothing: the disk is started first, then the media',
  boot3: 'nothing: the disk is started first, then the media',
  boot4: 'nothing: the disk is started first, then the media',
  vmexecutionengine: 'the option execution-engine',
};

const modifyLine = z
  .string()
  .regex(
    /^--[a-z]\S*(?:\s+\S.*)?$/i,
    'an option of `VBoxManage modifyvm` with its value, such as `--nested-hw-virt on`',
  )
  .superRefine((line, context) => {
    const instead = replacedBy(line);
    if (instead !== undefined)
      context.addIssue({
        code: 'custom',
        message: `${line}: this adds options and replaces none; it is set by ${instead}`,
      });
  });

/** How machines are made; none of it is needed. */
export const virtualboxOptions = z.strictObject({
  vboxmanage: z.string().min(1).default('VBoxManage').describe('Name or path of the program VBoxManage'),
  'execution-engine': z
    .enum(['auto', 'default', 'interpreter'])
    .default('auto')
    .describe(
      "What runs the guest: the processor, as VirtualBox does by itself (default), or VirtualBox's interpreter, which needs no kernel driver and is about 100 times slower (from 7.1 on); auto: what works",
    ),
  'disk-bus': z.enum(DISK_BUSES).default('sata').describe('Controller of the disk'),
  chipset: z.enum(['piix3', 'ich9']).default('piix3').describe('Chipset of the machine'),
  'graphics-controller': z
    .enum(['vmsvga', 'vboxsvga', 'vboxvga', 'none'])
    .default('vmsvga')
    .describe('Graphics adapter of the machine; none has no screen to look at when something goes wrong'),
  'video-memory': z.coerce
    .number()
    .int()
    .min(1)
    .max(256)
    .default(16)
    .describe('Memory of the graphics adapter, in MiB'),
  'network-adapter': z
    .enum(['82540EM', '82543GC', '82545EM', 'virtio', 'Am79C973'])
    .default('82540EM')
    .describe('Type of the network adapter; virtio is faster, and needs a guest that knows it'),
  modifyvm: z
    .union([modifyLine.transform((line) => [line]), z.array(modifyLine)])
    .default([])
    .describe('Further options for `VBoxManage modifyvm`, each with its value; they add to ours'),
  'guest-additions': z
    .string()
    .min(1)
    .optional()
    .describe(
      "Path of the ISO image of the Guest Additions, or auto for VirtualBox's own: attached as the last medium",
    ),
  import: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Start from this instead of the source: path of an OVA, or name of a registered machine that is switched off',
    ),
});

export type VirtualboxOptions = z.output<typeof virtualboxOptions>;

/** `--rtc-use-utc on` as arguments; the value's words are arguments too, as in `--uart2 0x2F8 3`. */
export function argumentsOf(line: string): string[] {
  return line.trim().split(/\s+/);
}

function replacedBy(line: string): string | undefined {
  const name = (argumentsOf(line)[0] ?? '').split('=')[0] ?? '';
  // VirtualBox takes most names with and without dashes inside.
  const plain = name.replaceAll('-', '').toLowerCase();
  return Object.hasOwn(OURS, plain) ? OURS[plain] : undefined;
}
