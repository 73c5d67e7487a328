import { access } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { type Appliance, EnvironmentError, type PluginContext } from '@polyvisor/core';
import { isStopped } from './launch.js';
import { Manage } from './manage.js';

/** The same appliance, made from an OVA or from the disk of a machine in the user's own registry, which is only read. */
export async function withImport(
  context: PluginContext,
  appliance: Appliance,
  what: string,
  command: string,
  signal: AbortSignal,
): Promise<Appliance> {
  const { source } = appliance;
  const image = /\.ova$/i.test(what) ? await existing(resolve(what)) : await diskOf(context, command, what, signal);
  if (source.kind === 'packages')
    throw new EnvironmentError(
      'import-access',
      `${appliance.name} says how to install packages, and not how to log in to ${what}`,
      { hint: 'name a source with `access` beside it: `disk`, or `installer`' },
    );
  return {
    ...appliance,
    source: {
      kind: 'disk',
      image: { locations: [image], checksum: 'none' },
      answers: source.kind === 'disk' ? source.answers : { http: [] },
      access: source.access,
    },
  };
}

async function existing(path: string): Promise<string> {
  try {
    await access(path);
    return path;
  } catch (cause) {
    throw new EnvironmentError('import-missing', `there is no ${path} to import`, { cause });
  }
}

/** Path of the first disk of a machine that is switched off. */
async function diskOf(context: PluginContext, command: string, machine: string, signal: AbortSignal): Promise<string> {
  const values = await new Manage(context, command).show(machine, signal);
  const state = values.get('VMState') ?? 'unknown';
  if (!isStopped(state) || /saved/.test(state))
    throw new EnvironmentError('import-running', `the machine ${machine} cannot be imported: it is ${state}`, {
      hint: 'switch it off: what it has in memory is not on its disk',
    });
  const disk = [...values].find(([name, value]) => isPlace(name) && isAbsolute(value) && isDisk(value))?.[1];
  if (disk !== undefined) return disk;
  throw new EnvironmentError('import-diskless', `the machine ${machine} has no disk that could be imported`);
}

/** `SATA Controller-0-0`; not `SATA Controller-ImageUUID-0-0`. */
function isPlace(name: string): boolean {
  return /^(?!.*-(?:ImageUUID|tempeject|nonrotational|discard|hot-pluggable|IsEjected)-).*-\d+-\d+$/.test(name);
}

function isDisk(path: string): boolean {
  return !/\.(?:iso|img|ima|viso|dmg)$/i.test(path);
}
