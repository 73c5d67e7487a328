import type {
  Acceleration,
  Emit,
  Firmware,
  Hypervisor,
  HypervisorCapabilities,
  Logger,
  ProvisionJob,
} from '@polyvisor/core';
import type { Scene } from './scene.js';

/** What every step of a run works with. */
export interface Run {
  readonly job: ProvisionJob;
  /** Id of the provisioner. */
  readonly id: string;
  readonly hypervisor: Hypervisor;
  readonly capabilities: HypervisorCapabilities;
  readonly firmware: Firmware;
  readonly acceleration: Acceleration;
  /** The provisioner's options, checked. */
  readonly options: unknown;
  readonly log: Logger;
  readonly emit: Emit;
  readonly scene: Scene;
}

/** A time limit as this machine needs it, in milliseconds. */
export function scaled({ acceleration }: Pick<Run, 'acceleration'>, milliseconds: number): number {
  return Math.round(milliseconds * acceleration.slowdown);
}
