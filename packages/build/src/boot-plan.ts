import { type BlockNode, EnvironmentError, type Firmware } from '@polyvisor/core';
import type { BootCheckMode, BuildOptions } from './options.js';

export interface BootMode {
  readonly mode: BootCheckMode;
  readonly version?: string | undefined;
  /** Why nothing is booted although the check is wanted. */
  readonly skipped?: string | undefined;
  /** Set when that is an error. */
  readonly problem?: EnvironmentError | undefined;
}

/** Whether artefacts will be booted: what was asked for, and what this machine can do. */
export async function planBootMode({
  definition,
  booter,
  boot,
  signal,
}: Pick<BuildOptions, 'definition' | 'booter' | 'boot' | 'signal'>): Promise<BootMode> {
  const mode = boot?.mode ?? (definition.bootCheck === undefined ? 'none' : 'auto');
  if (mode === 'none') return { mode };
  const { architecture, firmware } = definition.appliance;
  const cannot = (reason: string, hint: string): BootMode => {
    if (mode === 'auto') return { mode: 'none', skipped: `${reason}; ${hint}` };
    return {
      mode: 'none',
      problem: new EnvironmentError('boot-check-impossible', `the artefacts cannot be booted: ${reason}`, {
        hint: `${hint}, or leave the check out with --boot-check none`,
      }),
    };
  };
  if (booter === undefined) return cannot('no plugin that boots images is loaded', 'add one with --plugin');
  const probe = await booter.probe(signal);
  if (!probe.usable) return cannot(probe.reason, probe.hint);
  const can = booter.capabilities;
  if (!can.architectures.includes(architecture))
    return cannot(`${booter.id} boots ${can.architectures.join(', ')}, not ${architecture}`, 'boot them elsewhere');
  const missing = firmware.filter((kind) => !can.firmware.includes(kind));
  if (missing.length === firmware.length || (missing.length > 0 && mode === 'all')) {
    return cannot(
      `${booter.id} cannot boot under ${missing.join(' and ')} here`,
      (probe.notes ?? []).join('; ') || '`polyvisor doctor` tells more',
    );
  }
  return { mode, version: probe.version };
}

/** An artefact that the booter's drivers can open. */
export interface Bootable {
  readonly file: string;
  readonly node: BlockNode;
}

export interface PlannedBoot<T extends Bootable> {
  readonly artifact: T;
  readonly firmware: Firmware;
}

/**
 * What to boot. `all`: each artefact under each firmware. `auto`: one artefact for each driver, because two files read by the
 * same code differ in their headers only; plain raw files only when there is nothing else, since every other artefact holds
 * the same bytes. Firmware is dealt out in turn, and each kind is booted at least once.
 */
export function planBoots<T extends Bootable>(
  artifacts: readonly T[],
  firmware: readonly Firmware[],
  mode: BootCheckMode,
): readonly PlannedBoot<T>[] {
  if (mode === 'none' || artifacts.length === 0 || firmware.length === 0) return [];
  if (mode === 'all') return artifacts.flatMap((artifact) => firmware.map((kind) => ({ artifact, firmware: kind })));
  const byDriver = new Map<string, T>();
  for (const artifact of artifacts) {
    if (!byDriver.has(artifact.node.driver)) byDriver.set(artifact.node.driver, artifact);
  }
  if (byDriver.size > 1) byDriver.delete('raw');
  const chosen = [...byDriver.values()];
  return Array.from({ length: Math.max(chosen.length, firmware.length) }, (_, index) => ({
    artifact: chosen[index % chosen.length] as T,
    firmware: firmware[index % firmware.length] as Firmware,
  }));
}
