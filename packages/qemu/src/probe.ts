import type { PluginContext, Probe } from '@polyvisor/core';
import { QEMU, type QemuAcceleration } from './acceleration.js';
import { findUefi } from './firmware.js';

export interface QemuProbe {
  readonly program?: string;
  /** Oldest version that will do, as `6.0`; absent: any. */
  readonly oldest?: string;
  /** What to do without QEMU, after how to install it. */
  readonly otherwise: string;
  acceleration(signal: AbortSignal): Promise<QemuAcceleration>;
}

const DEBIAN_PACKAGES = ['qemu-system-x86', 'ovmf'] as const;

/** Whether QEMU can be used here, in which version, with what acceleration and firmware, and what is missing. */
export async function probeQemu(context: PluginContext, probe: QemuProbe, signal: AbortSignal): Promise<Probe> {
  const { program = QEMU, oldest } = probe;
  const install = `Debian: \`apt-get install ${DEBIAN_PACKAGES.join(' ')}\``;
  let version: string;
  try {
    const { stdout } = await context.run(program, ['--version'], { signal, timeout: 10_000 });
    version = /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  } catch (error) {
    signal.throwIfAborted();
    return {
      usable: false,
      reason: `${program} does not run: ${error instanceof Error ? error.message : String(error)}`,
      hint: `install QEMU (${install}), or ${probe.otherwise}`,
      debianPackages: DEBIAN_PACKAGES,
    };
  }
  if (oldest !== undefined && isOlder(version, oldest)) {
    return {
      usable: false,
      reason: `${program} is QEMU ${version}, and at least ${oldest} is needed`,
      hint: `install a newer QEMU, or ${probe.otherwise}`,
    };
  }
  const uefi = findUefi();
  return {
    usable: true,
    version,
    notes: [
      `acceleration: ${(await probe.acceleration(signal)).description}`,
      uefi === undefined
        ? 'UEFI: no firmware found; install OVMF (Debian: `apt-get install ovmf`)'
        : `UEFI: ${uefi.code}`,
    ],
  };
}

/** Compares by numbers, and takes what it cannot read for new. */
export function isOlder(version: string, than: string): boolean {
  const [numbers, limits] = [version, than].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)));
  for (const [index, limit] of (limits ?? []).entries()) {
    const number = numbers?.[index] ?? 0;
    if (Number.isNaN(number) || number > limit) return false;
    if (number < limit) return true;
  }
  return false;
}
