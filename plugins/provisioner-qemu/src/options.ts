import { ACCELERATIONS, type Bus, BUS_NAMES, MEDIA_BUS_NAMES, QEMU } from '@polyvisor/qemu';
import { z } from 'zod';
import { conflictsOf } from './extra-arguments.js';
import { NETWORK_CARD_NAMES } from './network.js';

const oneOrMany = z
  .union([z.array(z.string()), z.string()])
  .transform((value) => (typeof value === 'string' ? [value] : value));

/** What a person may choose about the machine; none of it is needed. */
export const qemuOptions = z
  .strictObject({
    bus: z.enum(BUS_NAMES).default('virtio').describe('Kind of controller that the disk is attached to'),
    'media-bus': z
      .enum(['auto', ...MEDIA_BUS_NAMES])
      .default('auto')
      .describe(
        'Kind of controller that installer and seed media are attached to; auto: as the disk, where it takes CDs',
      ),
    'network-card': z
      .enum(NETWORK_CARD_NAMES)
      .default('virtio')
      .describe(
        'Model of the network card; it must have a driver in the guest, and for starts over the network in the firmware',
      ),
    machine: z
      .string()
      .regex(/^(?:pc|q35|pc-(?:i440fx|q35)-[\w.-]+)$/, 'say pc, q35, or one of their versions such as pc-q35-7.2')
      .optional()
      .describe(
        'Machine type, as `qemu-system-x86_64 -machine help` lists them; default: pc under BIOS, q35 under UEFI',
      ),
    cpu: z
      .string()
      .regex(/^[\w.-]+(?:,[\w.+=-]+)*$/, 'say a model that `-cpu help` lists, with features after commas')
      .optional()
      .describe('Model of the processor, as `-cpu` takes it; default: the best that there is'),
    acceleration: z
      .enum(ACCELERATIONS)
      .default('auto')
      .describe(
        'What runs the guest; auto: what this computer has, if a test guest runs, otherwise tcg; a named one must work',
      ),
    binary: z.string().min(1).default(QEMU).describe('Program to run: a name on PATH, or an absolute path'),
    arguments: oneOrMany
      .default([])
      .superRefine((args, context) => {
        for (const message of conflictsOf(args)) context.addIssue({ code: 'custom', message });
      })
      .describe('Arguments added to the command line, one an item; what would take the place of our own is refused'),
    display: z
      .string()
      .min(1)
      .default('none')
      .describe('Where a person can watch, as `-display` takes it: gtk, sdl, cocoa, vnc=127.0.0.1:1'),
  })
  .superRefine((options, context) => {
    const ide: Bus = 'ide';
    if (options.machine?.includes('q35') && (options.bus === ide || options['media-bus'] === ide))
      context.addIssue({
        code: 'custom',
        message: 'machine: q35 has no IDE bus of the old kind; take bus sata, or machine pc',
      });
  });

export type QemuOptions = z.output<typeof qemuOptions>;
