import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineSpec, Medium } from '@polyvisor/core';
import { Attended } from './attended.js';
import type { Cleanup } from './cleanup.js';
import type { Run } from './run.js';

/** What the two machines of a run, the installer's and the finished system's, differ in. */
export interface MachineParts {
  readonly purpose: 'install' | 'boot';
  readonly disk: string;
  readonly media: readonly Medium[];
  /** Port of the guest's SSH server. */
  readonly port: number;
  readonly firmwareStrings: readonly string[];
}

/** Longest part of a machine's name that comes from the appliance's. */
const LONGEST_NAME = 40;

/**
 * Makes a machine under a name that nobody else has. `state.json` in the job's directory tells its name and its directory before
 * it is made, for whoever has to remove what a killed run left.
 */
export async function makeMachine(run: Run, parts: MachineParts, cleanup: Cleanup): Promise<Attended> {
  const { job, hypervisor, firmware, scene } = run;
  const { appliance, signal } = job;
  const readable = appliance.name.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, LONGEST_NAME);
  const name = `polyvisor-${readable}-${parts.purpose}-${randomBytes(4).toString('hex')}`;
  const directory = join(job.workDir, `machine-${parts.purpose}`);
  await mkdir(directory);
  const state = { provisioner: run.id, process: process.pid, machine: name, directory };
  await writeFile(join(job.workDir, 'state.json'), `${JSON.stringify(state, undefined, 2)}\n`);
  const spec: MachineSpec = {
    name,
    architecture: appliance.architecture,
    firmware,
    cpus: appliance.cpus,
    memory: appliance.memory,
    guest: appliance.guest,
    disk: parts.disk,
    media: parts.media,
    forwardedPorts: [parts.port],
    serialLog: join(job.logDir, 'serial.log'),
    firmwareStrings: parts.firmwareStrings,
  };
  scene.doing = `making the machine ${name}`;
  const machine = await hypervisor.create(spec, directory, signal);
  const attended = cleanup.use(new Attended(machine, spec, job));
  scene.attended = attended;
  return attended;
}
