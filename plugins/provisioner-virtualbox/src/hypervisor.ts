import type {
  Acceleration,
  Hypervisor,
  HypervisorCapabilities,
  Machine,
  MachineSpec,
  PluginContext,
} from '@polyvisor/core';
import { EnvironmentError } from '@polyvisor/core';
import { findEngine, type Engine } from './engines.js';
import { findHeadless } from './headless.js';
import { makeMachine, type Workshop } from './make-machine.js';
import { Manage } from './manage.js';
import type { VirtualboxOptions } from './options.js';
import { type Ports, systemPorts } from './ports.js';
import { isAtLeast, OLDEST, type Version } from './version.js';

/**
 * A kernel cannot be handed to VirtualBox's machines, and of a restart it tells nobody, which starts from the network would
 * have to notice.
 */
export const virtualboxCapabilities: HypervisorCapabilities = {
  starts: ['disk'],
  diskFormat: 'vdi',
  hostAddress: '10.0.2.2',
  firmwareStrings: true,
};

/** VirtualBox, through VBoxManage. */
export class VirtualBox implements Hypervisor {
  readonly #manage: Manage;
  readonly #options: VirtualboxOptions;
  readonly #ports: Ports;
  #workshop: Promise<Workshop & { readonly found: Engine }> | undefined;

  constructor(context: PluginContext, options: VirtualboxOptions, ports: Ports = systemPorts) {
    this.#manage = new Manage(context, options.vboxmanage);
    this.#options = options;
    this.#ports = ports;
  }

  async acceleration(signal: AbortSignal): Promise<Acceleration> {
    const { description, slowdown } = (await this.#prepare(signal)).found;
    return { description, slowdown };
  }

  async create(spec: MachineSpec, workDir: string, signal: AbortSignal): Promise<Machine> {
    signal.throwIfAborted();
    if (spec.architecture !== 'x86_64')
      throw new EnvironmentError(
        'architecture-unsupported',
        `VirtualBox runs x86_64 machines here, not ${spec.architecture}`,
      );
    return makeMachine(await this.#prepare(signal), spec, workDir, signal);
  }

  /** Once a run; again where it was cancelled or failed. */
  #prepare(signal: AbortSignal): Promise<Workshop & { readonly found: Engine }> {
    this.#workshop ??= this.#findOut(signal).catch((error: unknown) => {
      this.#workshop = undefined;
      throw error;
    });
    return this.#workshop;
  }

  async #findOut(signal: AbortSignal): Promise<Workshop & { readonly found: Engine }> {
    const options = this.#options;
    const version = await supportedVersion(this.#manage, signal);
    const headless = await findHeadless(this.#manage.context, this.#manage.command, signal);
    const found = await findEngine(this.#manage, version, options['execution-engine'], headless, signal);
    return { manage: this.#manage, options, version, engine: found.engine, headless, ports: this.#ports, found };
  }
}

/** Rejects with `EnvironmentError` for releases that are too old. */
export async function supportedVersion(manage: Manage, signal: AbortSignal): Promise<Version> {
  const version = await manage.version(signal);
  if (isAtLeast(version, OLDEST.major, OLDEST.minor)) return version;
  throw new EnvironmentError(
    'virtualbox-version',
    `VirtualBox ${version.text} is too old: machines are made with ${OLDEST.major}.${OLDEST.minor} and newer`,
    { hint: 'install a newer VirtualBox, or take another provisioner' },
  );
}
