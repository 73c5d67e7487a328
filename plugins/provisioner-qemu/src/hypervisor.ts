import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DefinitionError,
  EnvironmentError,
  type Hypervisor,
  type HypervisorCapabilities,
  type MachineSpec,
  type PluginContext,
} from '@polyvisor/core';
import { displayEnvironment, prepareUefi, probeAcceleration, type QemuAcceleration } from '@polyvisor/qemu';
import { machineArguments, type MachineFiles } from './machine-arguments.js';
import { QemuMachine } from './machine.js';
import type { QemuOptions } from './options.js';
import { PID_FILE } from './discard.js';

export const qemuCapabilities: HypervisorCapabilities = {
  starts: ['disk', 'kernel', 'network'],
  diskFormat: 'raw',
  hostAddress: '10.0.2.2',
  firmwareStrings: true,
};

/** From one key to the next, in milliseconds: with acceleration, and without. Menus that draw slowly lose what comes faster. */
const KEY_INTERVAL = { accelerated: 50, emulated: 100 } as const;

/** How long the guest may leave a key untaken, in milliseconds, with acceleration. */
const KEY_PATIENCE = 10_000;

/** Most firmware strings, and bytes of each: SMBIOS counts strings in one byte, and a table's size in two. */
const STRINGS_LIMIT = { count: 255, bytes: 32 * 1024 } as const;

/** Machines in QEMU. The options hold for all of them. */
export function createQemuHypervisor(context: PluginContext, options: QemuOptions): Hypervisor {
  let found: Promise<QemuAcceleration> | undefined;
  const wish = { program: options.binary, acceleration: options.acceleration, cpu: options.cpu };
  // Asked once: the answer does not change while the process lives. A cancelled probe is no answer.
  const acceleration = (signal: AbortSignal): Promise<QemuAcceleration> => {
    found ??= probeAcceleration(context, wish, signal).catch((error: unknown) => {
      found = undefined;
      throw error;
    });
    return found;
  };
  return {
    acceleration,
    create: async (spec, workDir, signal) => {
      signal.throwIfAborted();
      refuseOther(spec);
      const { accelerator, slowdown } = await acceleration(signal);
      const files = await prepareFiles(spec, workDir);
      signal.throwIfAborted();
      refuseTooMany(() => machineArguments(spec, { kind: 'disk' }, options, accelerator, files));
      return new QemuMachine({
        context,
        spec,
        program: options.binary,
        workDir,
        environment: displayEnvironment(options.display),
        commandLine: (start) => machineArguments(spec, start, options, accelerator, files),
        pace: {
          interval: slowdown === 1 ? KEY_INTERVAL.accelerated : KEY_INTERVAL.emulated,
          patience: KEY_PATIENCE * slowdown,
        },
        files: [files.pid, ...files.firmwareStrings, ...(files.uefi === undefined ? [] : [files.uefi.variables])],
      });
    },
  };
}

function refuseOther({ architecture, firmwareStrings, name }: MachineSpec): void {
  if (architecture !== 'x86_64') {
    throw new EnvironmentError(
      'architecture-unsupported',
      `${name} is for ${architecture}; only x86_64 machines are made with QEMU`,
    );
  }
  const { count, bytes } = STRINGS_LIMIT;
  const wrong = firmwareStrings.find((text) => text === '' || text.includes('\0') || Buffer.byteLength(text) > bytes);
  if (firmwareStrings.length > count || wrong !== undefined) {
    throw new DefinitionError(
      'firmware-strings-invalid',
      `the firmware takes at most ${count} strings of 1 to ${bytes} bytes without zeros, and ${name} has ${firmwareStrings.length}${wrong === undefined ? '' : `, one of them of ${Buffer.byteLength(wrong)} bytes`}`,
    );
  }
}

/** Told now, not when the machine is started. */
function refuseTooMany(attach: () => unknown): void {
  try {
    attach();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DefinitionError('media-too-many', `the machine cannot have all of its media: ${error.message}`, {
      hint: 'take another `bus`, or put the media on another with `media-bus`',
    });
  }
}

async function prepareFiles(spec: MachineSpec, workDir: string): Promise<MachineFiles> {
  await mkdir(workDir, { recursive: true });
  const firmwareStrings = spec.firmwareStrings.map((_text, index) => join(workDir, `firmware-string-${index}`));
  for (const [index, path] of firmwareStrings.entries())
    await writeFile(path, spec.firmwareStrings[index] ?? '', { mode: 0o600 });
  return {
    pid: join(workDir, PID_FILE),
    uefi: spec.firmware === 'uefi' ? await prepareUefi(workDir) : undefined,
    firmwareStrings,
  };
}
