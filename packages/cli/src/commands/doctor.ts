import { availableParallelism, arch, cpus, freemem, release, totalmem } from 'node:os';
import { readFile, statfs } from 'node:fs/promises';
import { EnvironmentError, formatBytes, type Probe } from '@polyvisor/core';
import { workRoot } from '../places.js';
import type { Configure } from '../program.js';
import type { Session } from '../session.js';

export const configure: Configure = (command, session) => {
  command
    .addHelpText(
      'after',
      `
Exit code 3: no appliance can be built on this machine as it is.

Examples:
  $ polyvisor doctor
  $ polyvisor doctor --json | jq -r '.install // empty'`,
    )
    .action(async () => {
      const run = session();
      const host = await run.host();
      const probing = [
        ...host.provisioners().map((one) => ({ kind: 'provisioner' as const, one })),
        ...host.booters().map((one) => ({ kind: 'booter' as const, one })),
      ].map(async ({ kind, one }): Promise<Check> => ({
        kind,
        id: one.id,
        summary: one.summary,
        ...('sources' in one.capabilities ? { sources: one.capabilities.sources } : {}),
        probe: await one.probe(run.signal),
      }));
      const checks = await Promise.all(probing);
      const machine = await describeMachine(run);
      const formats = host.converters().map(({ id }) => id);
      const install = await installCommand(checks);
      const canBuild = checks.some(({ kind, probe }) => kind === 'provisioner' && probe.usable) && formats.length > 0;
      run.answer(
        { command: 'doctor', machine, formats, checks, canBuild, ...(install === undefined ? {} : { install }) },
        report(machine, formats, checks, install),
      );
      if (!canBuild) {
        throw new EnvironmentError('cannot-build', 'no appliance can be built on this machine as it is', {
          hint: install === undefined ? 'see the reasons above' : `run: ${install}`,
        });
      }
    });
};

interface Check {
  readonly kind: 'provisioner' | 'booter';
  readonly id: string;
  readonly summary: string;
  /** Of a provisioner: kinds of source that it starts from. */
  readonly sources?: readonly string[];
  readonly probe: Probe;
}

interface Machine {
  readonly system: string;
  readonly node: string;
  readonly processors: string;
  readonly memory: string;
  readonly disk: string;
  readonly temporary: string;
}

async function describeMachine({ io }: Session): Promise<Machine> {
  const free = async (folder: string) => {
    const space = await statfs(folder).catch(() => undefined);
    return space === undefined
      ? `${folder} is not there`
      : `${formatBytes(space.bavail * space.bsize)} free in ${folder}`;
  };
  return {
    system: `${(await systemRelease())['PRETTY_NAME'] ?? process.platform} (${process.platform} ${release()}, ${arch()})`,
    node: process.version,
    processors: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory: `${formatBytes(freemem())} free of ${formatBytes(totalmem())}`,
    disk: await free(io.cwd),
    temporary: await free(workRoot(io.env)),
  };
}

/** The fields of os-release(5); empty where there is no such file. */
async function systemRelease(): Promise<Readonly<Record<string, string>>> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const match = /^(\w+)="?(.*?)"?$/.exec(line);
      return match === null ? [] : [[match[1] ?? '', match[2] ?? '']];
    }),
  );
}

/** One command that gets everything that is missing, where packages have Debian's names. */
async function installCommand(checks: readonly Check[]): Promise<string | undefined> {
  const packages = new Set(checks.flatMap(({ probe }) => (probe.usable ? [] : (probe.debianPackages ?? []))));
  const system = await systemRelease();
  const isDebian = [system['ID'], system['ID_LIKE']].join(' ').split(' ').includes('debian');
  if (packages.size === 0 || !isDebian) return undefined;
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  return `${sudo}apt-get install --yes --no-install-recommends ${[...packages].sort().join(' ')}`;
}

function report(
  machine: Machine,
  formats: readonly string[],
  checks: readonly Check[],
  install: string | undefined,
): string {
  const lines = [
    ...Object.entries(machine).map(([name, value]) => `${name.padEnd(11)} ${String(value)}`),
    `${'formats'.padEnd(11)} ${formats.join(', ') || 'none: no plugin brings one'}`,
    '',
  ];
  for (const { kind, id, summary, sources, probe } of checks) {
    lines.push(`${probe.usable ? 'usable ' : 'missing'}  ${kind} ${id}: ${summary}`);
    if (sources !== undefined) lines.push(`           starts from: ${sources.join(', ')}`);
    if (probe.usable) {
      lines.push(`           ${probe.version}`, ...(probe.notes ?? []).map((note) => `           note: ${note}`));
    } else {
      lines.push(`           reason: ${probe.reason}`, `           mend:   ${probe.hint}`);
    }
  }
  if (install !== undefined) lines.push('', 'To get all that is missing:', `  ${install}`);
  return lines.join('\n');
}
