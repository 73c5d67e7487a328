import { join, resolve } from 'node:path';
import { applianceStem, build, type BuildResult, type BuildTarget } from '@polyvisor/build';
import { Option } from '@commander-js/extra-typings';
import { DefinitionError, type Provisioner } from '@polyvisor/core';
import type { Definition } from '@polyvisor/definition';
import type { Host } from '@polyvisor/host';
import { artifactTable, shown } from '../artifact-table.js';
import { askAboutLeftovers } from '../ask.js';
import { firstUsable, nothingLoaded } from '../choose.js';
import { openDefinition } from '../definition.js';
import { formatDuration } from '../duration.js';
import { type FormatArgument, parseFormatArgument } from '../format-argument.js';
import { sessionImages } from '../images.js';
import type { Io } from '../io.js';
import { cacheDirectory, workRoot } from '../places.js';
import { collect, type Configure } from '../program.js';
import { sourceDate } from '../source-date.js';
import { packageVersion } from '../version.js';

export const configure: Configure = (command, session) => {
  command
    .argument('<definition>', 'name, folder or file of a definition')
    .option(
      '--to <format>',
      'format to export, with options as format:option=value,… (repeatable); instead of those that the definition names',
      collectFormats,
    )
    .option('--provisioner <id>', 'what makes the disk, with options as id:option=value,…')
    .option('--var <name=value>', 'give a variable a value (repeatable)', collect)
    .option('--var-file <file>', 'file with values for variables: YAML, JSON or name=value lines (repeatable)', collect)
    .option('-o, --output <folder>', 'folder for the result, by default artifacts/<name>-<version>-<arch>')
    .option('--force', 'replace the result of an earlier build')
    .addOption(
      new Option('--on-error <what>', 'what to do with temporary files when the build fails')
        .choices(['cleanup', 'keep', 'ask'] as const)
        .default('cleanup' as const),
    )
    .addOption(
      new Option(
        '--boot-check <mode>',
        'auto: boot one artefact of each kind where this machine can; all: each under every firmware; none',
      ).choices(['auto', 'all', 'none'] as const),
    )
    .option('--booter <id>', 'what boots the artefacts; by default the first one that works here')
    .option('--verify', 'read every artefact back and compare it with the disk')
    .option('--offline', 'use only what is in the cache, never the network')
    .option('--cache-dir <folder>', 'what is kept between builds; by default $POLYVISOR_CACHE or ~/.cache/polyvisor')
    .option('--work-dir <folder>', 'where temporary files go; by default $TMPDIR or /var/tmp')
    .addHelpText(
      'after',
      `
The folder of the result appears complete or not at all: the artefacts, SHA256SUMS, manifest.json (every input and output
with hash, size, versions and options), build-report.json and the logs. With $SOURCE_DATE_EPOCH set, equal inputs give
equal bytes. A format that --to names without options takes those that the definition has for it.

Examples:
  $ polyvisor build debian-12
  $ polyvisor build debian-12 --to qcow2:compression=zlib --to xen-vhd -o out
  $ polyvisor build ./my-server --var hostname=web1 --var-file secrets.env --boot-check none
  $ SOURCE_DATE_EPOCH=1700000000 polyvisor build debian-12 --offline`,
    )
    .action(async (argument, options) => {
      const run = session();
      const { io, emit, signal } = run;
      const at = (path: string) => resolve(io.cwd, path);
      const epoch = sourceDate(io.env);
      const ask = options.onError === 'ask' ? askAboutLeftovers(run) : undefined;
      const definition = await openDefinition(run, argument, options, {
        targets: options.to === undefined,
        provisioner: options.provisioner === undefined,
      });
      const host = await run.host();
      const targets = chooseTargets(definition, options.to, host);
      const chosen = await chooseProvisioner(definition, options.provisioner, host, signal);
      const booter =
        options.booter === undefined ? await firstUsable(host.booters(), signal) : host.booter(options.booter);
      const artifacts = (await run.project()).output ?? join(io.cwd, 'artifacts');
      const warnings: string[] = [];
      run.observe((event) => {
        if (event.type === 'log' && event.level === 'warn') warnings.push(event.message);
      });
      const result = await build({
        definition,
        provisioner: chosen.provisioner,
        provisionerOptions: chosen.options,
        targets,
        booter,
        boot: { mode: options.bootCheck },
        outputDir:
          options.output === undefined ? join(artifacts, applianceStem(definition.appliance)) : at(options.output),
        cacheDir: options.cacheDir === undefined ? cacheDirectory(io.env) : at(options.cacheDir),
        workRoot: options.workDir === undefined ? workRoot(io.env) : at(options.workDir),
        force: options.force === true,
        offline: options.offline === true,
        images: sessionImages(run),
        verify: options.verify === true,
        epoch,
        versions: versionsOf(host),
        onError: options.onError,
        ask,
        emit,
        observe: run.observe,
        signal,
      });
      run.answer({ command: 'build', ...result, warnings }, summary(result, warnings, io));
    });
};

function collectFormats(value: string, previous: readonly FormatArgument[] = []): readonly FormatArgument[] {
  return [...previous, ...parseFormatArgument(value)];
}

/** What the command line names; else what the definition names; else every format there is. */
function chooseTargets(
  definition: Definition,
  given: readonly FormatArgument[] | undefined,
  host: Host,
): readonly BuildTarget[] {
  if (given !== undefined) {
    return given.map(({ format, options }) => {
      const own = definition.targets.find(({ id }) => id === format);
      const isBare = Object.keys(options).length === 0;
      return { converter: host.converter(format), options: isBare && own !== undefined ? own.options : options };
    });
  }
  if (definition.targets.length > 0) {
    return definition.targets.map(({ id, options }) => ({ converter: host.converter(id), options }));
  }
  if (host.converters().length === 0) throw nothingLoaded('format');
  return host.converters().map((converter) => ({ converter, options: {} }));
}

async function chooseProvisioner(
  definition: Definition,
  given: string | undefined,
  host: Host,
  signal: AbortSignal,
): Promise<{ readonly provisioner: Provisioner; readonly options: unknown }> {
  const own = definition.provisioner;
  if (given !== undefined) {
    const [first, second] = parseFormatArgument(given);
    if (first === undefined || second !== undefined) {
      throw new DefinitionError('provisioner-invalid', `--provisioner ${given} names several`, { hint: 'name one' });
    }
    const isBare = Object.keys(first.options).length === 0;
    return {
      provisioner: host.provisioner(first.format),
      options: isBare && own?.id === first.format ? own.options : first.options,
    };
  }
  if (own !== undefined) {
    return { provisioner: host.provisioner(own.id), options: own.options };
  }
  const provisioner = await firstUsable(host.provisioners(), signal);
  if (provisioner === undefined) throw nothingLoaded('provisioner');
  return { provisioner, options: {} };
}

/** Who took part, for the manifest. */
function versionsOf(host: Host): Readonly<Record<string, string>> {
  const plugins = host.plugins().map((one) => [one.name, one.version ?? 'unknown'] as const);
  return { polyvisor: packageVersion(), ...Object.fromEntries(plugins) };
}

/** Warnings are told again: by now they have scrolled away. */
function summary(
  { directory, artifacts, boots, bootSkipped }: BuildResult,
  warnings: readonly string[],
  { cwd, stdout }: Io,
): string {
  const booted = boots.map(
    ({ format, firmware, duration }) =>
      `booted ${format} under ${firmware.toUpperCase()} in ${formatDuration(duration / 1000)}`,
  );
  const skipped = bootSkipped === undefined ? [] : [`not booted: ${bootSkipped}`];
  return [
    artifactTable(artifacts, cwd, stdout.columns),
    '',
    ...booted,
    ...skipped,
    `all of it in ${shown(directory, cwd)}`,
    ...(warnings.length === 0 ? [] : ['', ...warnings.map((warning) => `warning: ${warning}`)]),
  ].join('\n');
}
