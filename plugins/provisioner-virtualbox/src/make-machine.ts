import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineSpec } from '@polyvisor/core';
import { checkMade } from './check-made.js';
import { type Configuration, modifyArguments } from './configuration.js';
import { firmwareSettings } from './firmware-strings.js';
import { guestType } from './guest-type.js';
import { type Home, makeHome, removeHome } from './home.js';
import { MachineLog } from './machine-log.js';
import { Manage } from './manage.js';
import type { VirtualboxOptions } from './options.js';
import type { Ports } from './ports.js';
import { attachAll, layOut } from './storage.js';
import { VirtualMachine } from './virtual-machine.js';
import type { Version } from './version.js';

/** What machines are made with. */
export interface Workshop {
  /** Without a home. */
  readonly manage: Manage;
  readonly options: VirtualboxOptions;
  readonly version: Version;
  readonly engine: 'default' | 'interpreter';
  readonly headless: string | undefined;
  readonly ports: Ports;
}

/** Makes a machine in a home of its own below `workDir`; of one that cannot be made nothing stays. */
export async function makeMachine(
  workshop: Workshop,
  spec: MachineSpec,
  workDir: string,
  signal: AbortSignal,
): Promise<VirtualMachine> {
  signal.throwIfAborted();
  const { options, version, engine, headless, ports } = workshop;
  const storage = layOut(spec, options);
  const settings = firmwareSettings(spec);
  const home = await makeHome(workDir);
  try {
    const manage = new Manage(workshop.manage.context, workshop.manage.command, home.environment);
    const forwarding = new Map<number, number>();
    for (const port of spec.forwardedPorts) forwarding.set(port, await chooseAnother(ports, forwarding));
    const serial = join(home.directory, 'serial');
    const configuration: Configuration = { spec, options, version, engine, serial, forwarding };
    const machines = join(home.directory, 'machines');
    await register(manage, home, machines, spec, signal);
    await manage.run(`configure ${spec.name}`, ['modifyvm', home.uuid, ...modifyArguments(configuration)], signal);
    for (const [key, value] of settings) {
      await manage.run(`show ${spec.name} a string of its firmware`, ['setextradata', home.uuid, key, value], signal);
    }
    await attachAll(manage, home.uuid, storage, home.directory, spec, signal);
    checkMade(await manage.show(home.uuid, signal), configuration, spec.disk);
    const log = new MachineLog(join(machines, spec.name));
    return new VirtualMachine({ manage, home, log, headless, workDir, configuration, ports });
  } catch (error) {
    await removeHome(home, workDir);
    throw error;
  }
}

async function register(
  manage: Manage,
  { uuid }: Home,
  folder: string,
  { name, guest }: Pick<MachineSpec, 'name' | 'guest'>,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const what = ['--name', name, '--ostype', guestType(guest), '--uuid', uuid];
  await manage.run(`make the machine ${name}`, ['createvm', ...what, '--basefolder', folder, '--register'], signal);
}

/** The system may give the same port twice, since nobody listens on it yet. */
async function chooseAnother(ports: Ports, taken: ReadonlyMap<number, number>): Promise<number> {
  for (;;) {
    const port = await ports.choose();
    if (![...taken.values()].includes(port)) return port;
  }
}
