import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { assertFits, DefinitionError, EnvironmentError, parseOptions, type Probe, type Source } from '@polyvisor/core';
import { planBootMode } from './boot-plan.js';
import { chooseSource, noSource, type PassedOver } from './choose-source.js';
import type { BootCheckMode, BuildOptions } from './options.js';
import { checkOutputDirectory } from './output-directory.js';
import { Problems } from './problems.js';
import { checkSpace, type SpaceNeed } from './space.js';

/** What the preflight found out. */
export interface Preflight {
  /** What the disk is made from. */
  readonly source: Source;
  readonly passedOver: readonly PassedOver[];
  /** Versions of what the provisioner and the booter use, by their ids. */
  readonly versions: Readonly<Record<string, string>>;
  readonly bootMode: BootCheckMode;
  /** Why nothing will be booted although the check is wanted. */
  readonly bootSkipped: string | undefined;
}

/**
 * Checks everything that can be checked before anything is touched, and throws one error with all problems found:
 * options, what the provisioner and the formats can do, tools, the output's name, rights and free space.
 */
export async function preflight(options: BuildOptions): Promise<Preflight> {
  const { definition, provisioner, targets, signal } = options;
  const { appliance } = definition;
  const problems = new Problems();
  const versions: Record<string, string> = {};

  if (targets.length === 0) {
    problems.add(
      new DefinitionError('targets-missing', 'there is nothing to export: the definition has no targets', {
        hint: 'give at least one with --to',
      }),
    );
  }
  for (const { converter, options: given } of targets) {
    await problems.collect(() => parseOptions(`--to ${converter.id}`, converter.options, given));
    await problems.collect(() => assertFits(converter, appliance.disk.size));
  }
  await problems.collect(() =>
    parseOptions(`--provisioner ${provisioner.id}`, provisioner.options, options.provisionerOptions),
  );
  for (const problem of unsupported(options)) problems.add(problem);
  const { chosen, passedOver } = await chooseSource(definition.sources, provisioner, appliance);
  if (chosen === undefined) problems.add(noSource(definition, provisioner.id, passedOver));
  const outputDir = resolve(options.outputDir);
  await problems.collect(() => checkOutputDirectory(outputDir, options.force));
  for (const directory of [dirname(outputDir), options.workRoot, options.cacheDir]) {
    await problems.collect(() => checkWritable(resolve(directory)));
  }

  const usable = asProblem(
    `the provisioner ${provisioner.id}`,
    await provisioner.probe(signal),
    versions,
    provisioner.id,
  );
  if (usable !== undefined) problems.add(usable);
  const source = chosen?.source ?? appliance.source;
  const estimate =
    chosen === undefined ? undefined : await problems.collect(() => provisioner.estimate({ ...appliance, source }));
  if (estimate !== undefined)
    for (const problem of await checkSpace(spaceNeeds(options, estimate))) problems.add(problem);

  const boot = await planBootMode(options);
  if (boot.version !== undefined && options.booter !== undefined) versions[options.booter.id] = boot.version;
  if (boot.problem !== undefined) problems.add(boot.problem);
  signal.throwIfAborted();
  problems.throwIfAny();
  return { source, passedOver, versions, bootMode: boot.mode, bootSkipped: boot.skipped };
}

function unsupported({ definition: { appliance, file }, provisioner }: BuildOptions): DefinitionError[] {
  const { architectures, firmware } = provisioner.capabilities;
  const wrong = (what: string, known: readonly string[]) =>
    new DefinitionError('not-supported', `${file}: the provisioner ${provisioner.id} cannot make ${what}`, {
      hint: `it can: ${known.join(', ')}; choose another provisioner with --provisioner, \`polyvisor plugins\` lists them`,
    });
  return [
    ...(architectures.includes(appliance.architecture)
      ? []
      : [wrong(`a system for ${appliance.architecture}`, architectures)]),
    ...appliance.firmware
      .filter((kind) => !firmware.includes(kind))
      .map((kind) => wrong(`a disk that boots under ${kind}`, firmware)),
  ];
}

function asProblem(
  what: string,
  probe: Probe,
  versions: Record<string, string>,
  id: string,
): EnvironmentError | undefined {
  if (probe.usable) {
    versions[id] = probe.version;
    return undefined;
  }
  return new EnvironmentError('not-usable', `${what} cannot work on this machine: ${probe.reason}`, {
    hint: probe.hint,
  });
}

async function checkWritable(directory: string): Promise<void> {
  for (let path = directory; ; path = dirname(path)) {
    const stats = await stat(path).catch(() => undefined);
    if (stats === undefined && path !== dirname(path)) continue;
    const hint = 'choose another directory, or check the owner and the mode of this one';
    if (stats?.isDirectory() !== true)
      throw new EnvironmentError('not-writable', `${directory} cannot be made: ${path} is not a directory`, { hint });
    await access(path, constants.W_OK | constants.X_OK).catch((cause: unknown) => {
      throw new EnvironmentError('not-writable', `${path} is not writable`, { hint, cause });
    });
    return;
  }
}

/**
 * No artefact stores more than the disk's data, of which `estimate` is the most there can be, except for formats that
 * write every byte; compression saves about half or more of what a system is made of.
 */
function spaceNeeds({ definition, targets, outputDir, workRoot }: BuildOptions, estimate: number): SpaceNeed[] {
  const data = Math.min(definition.appliance.disk.size, estimate);
  const outputs = targets.reduce(
    (sum, { converter }) => sum + (converter.capabilities.compression.length > 0 ? data / 2 : data),
    0,
  );
  return [
    {
      directory: workRoot,
      bytes: estimate,
      what: 'the work directory',
      hint: 'choose another work directory with --work-dir',
    },
    {
      directory: dirname(resolve(outputDir)),
      bytes: Math.ceil(outputs),
      what: 'the outputs in',
      hint: 'choose another output directory with -o',
    },
  ];
}
