import {
  type Appliance,
  type Architecture,
  createLogger,
  DefinitionError,
  type Firmware,
  type Hypervisor,
  type HypervisorCapabilities,
  parseOptions,
  type Probe,
  type ProvisionJob,
  type Provisioner,
  type Source,
} from '@polyvisor/core';
import type { z } from 'zod';
import { chooseStart } from './flow/choose-start.js';
import { provisionMachine } from './flow/provision-machine.js';
import { Scene } from './flow/scene.js';

/** What a provisioner is made of, beside the flow that all of them share. */
export interface MachineProvisionerDefinition<Schema extends z.ZodType> {
  readonly id: string;
  /** One line for people. */
  readonly summary: string;
  readonly architectures: readonly Architecture[];
  readonly firmware: readonly Firmware[];
  readonly options: Schema;
  /** Of the machines that `hypervisor` makes. */
  readonly capabilities: HypervisorCapabilities;
  probe(signal: AbortSignal): Promise<Probe>;
  /** Called once a run, with options that were checked. */
  hypervisor(options: z.output<Schema>, job: ProvisionJob): Hypervisor | Promise<Hypervisor>;
  /** See `Provisioner.refusal`; asked after the flow's own reasons. */
  refusal?(source: Source, appliance: Appliance): string | undefined;
  /** See `Provisioner.discard`. */
  discard?(workDir: string, signal: AbortSignal): Promise<void>;
}

/** Beside the disk: kernel, initrd, seed medium, firmware's memory, pictures. In bytes. */
const OVERHEAD = 256 * 1024 * 1024;

/** Turns what makes machines into what makes disks: from an installer or from an existing disk. */
export function machineProvisioner<Schema extends z.ZodType>(
  definition: MachineProvisionerDefinition<Schema>,
): Provisioner {
  const { id, summary, architectures, firmware, options, capabilities, discard } = definition;

  const refusal = (source: Source, appliance: Appliance): string | undefined => {
    if (source.kind === 'packages') return 'it starts from an installer or a disk, not from packages';
    const wanted = firmwareFor(definition, appliance);
    if (source.kind === 'installer' && wanted !== undefined) {
      const chosen = chooseStart(source, wanted, capabilities);
      if ('refusal' in chosen) return chosen.refusal;
    }
    return definition.refusal?.(source, appliance);
  };

  return {
    id,
    summary,
    capabilities: { architectures, firmware, sources: ['installer', 'disk'] },
    options,
    probe: (signal) => definition.probe(signal),
    refusal,
    estimate: (appliance) => Promise.resolve(appliance.disk.size + OVERHEAD),
    provision: async (job) => {
      job.signal.throwIfAborted();
      const checked = parseOptions(`--provisioner ${id}`, options, job.options);
      const { appliance, emit, signal } = job;
      const reason = refusal(appliance.source, appliance);
      if (reason !== undefined)
        throw new DefinitionError('source-unsupported', `${id} cannot make ${appliance.name}: ${reason}`, {
          hint: 'name another source beside it, or take another provisioner: `polyvisor plugins` lists them',
        });
      const wanted = firmwareFor(definition, appliance);
      if (wanted === undefined)
        throw new DefinitionError(
          'firmware-unsupported',
          `${id} has machines with ${firmware.join(' and ')}, and ${appliance.name} is for ${appliance.firmware.join(' and ')}`,
          { hint: 'change `firmware` in the definition, or take another provisioner' },
        );
      const log = createLogger(emit, id);
      const hypervisor = await definition.hypervisor(checked, job);
      const acceleration = await hypervisor.acceleration(signal);
      if (acceleration.slowdown > 1)
        log.info(`time limits are ${acceleration.slowdown} times as long, because of ${acceleration.description}`);
      return provisionMachine({
        job,
        id,
        hypervisor,
        capabilities,
        firmware: wanted,
        acceleration,
        options: checked,
        log,
        emit,
        scene: new Scene(job, log),
      });
    },
    ...(discard === undefined ? {} : { discard: (workDir, signal) => discard.call(definition, workDir, signal) }),
  };
}

/** The first that the appliance is for and the hypervisor has. */
function firmwareFor(
  { firmware }: { readonly firmware: readonly Firmware[] },
  appliance: Appliance,
): Firmware | undefined {
  return appliance.firmware.find((each) => firmware.includes(each));
}
