import { basename } from 'node:path';
import type { Artifact, ArtifactFile, ProvisionedDisk } from '@polyvisor/core';
import type { DefinitionInputs } from '@polyvisor/definition';
import { manifestSource } from './manifest-source.js';
import type { BootResult, BuildOptions } from './options.js';

/** Changes when a reader of the manifest would have to change. */
const MANIFEST_SCHEMA = 1;

export interface ManifestFacts {
  readonly options: BuildOptions;
  readonly versions: Readonly<Record<string, string>>;
  readonly inputs: DefinitionInputs;
  readonly seed: string;
  readonly inventory: ProvisionedDisk['inventory'];
  readonly artifacts: readonly Artifact[];
}

/**
 * What went in and what came out. Holds nothing that two builds of the same inputs, with the same SOURCE_DATE_EPOCH, do not
 * share: no duration, no path of this machine, no time. Those are in the build report.
 */
export function manifest(
  { options, versions, inputs, seed, inventory, artifacts }: ManifestFacts,
  redact: (text: string) => string,
): string {
  const { definition, provisioner, targets } = options;
  const { name, version, description, architecture, firmware, guest, guestVersion, cpus, memory, disk, source } =
    definition.appliance;
  return json(
    {
      schema: MANIFEST_SCHEMA,
      appliance: {
        name,
        version,
        description,
        architecture,
        firmware,
        guest,
        guestVersion,
        cpus,
        memory,
        disk,
        source: manifestSource(source),
      },
      sourceDateEpoch: options.epoch ?? null,
      seed,
      tools: sorted({ ...options.versions, ...versions }),
      definition: {
        key: inputs.key,
        variables: sorted(definition.variables),
        inputs: inputs.files.map(({ path, ...file }) => ({ path: portable(path), ...file })),
      },
      provisioner: { id: provisioner.id, options: options.provisionerOptions ?? {} },
      seal: { keep: definition.sealKeep },
      artifacts: artifacts.map(({ path, format, size, bytes, sha256, files }, index) => ({
        file: basename(path),
        format,
        options: targets[index]?.options ?? {},
        virtualSize: size,
        bytes,
        sha256,
        ...(files === undefined
          ? {}
          : { files: files.map((file) => ({ file: basename(file.path), bytes: file.bytes, sha256: file.sha256 })) }),
      })),
      inventory: sorted(inventory),
    },
    redact,
  );
}

export interface ReportFacts {
  readonly started: Date;
  readonly durations: ReadonlyMap<string, number>;
  readonly artifacts: readonly Artifact[];
  readonly boots: readonly BootResult[];
  readonly bootSkipped: string | undefined;
}

/** What differs from run to run: times, durations, how artefacts are stored on this machine, and how they booted. */
export function buildReport(
  { started, durations, artifacts, boots, bootSkipped }: ReportFacts,
  redact: (text: string) => string,
): string {
  return json(
    {
      schema: MANIFEST_SCHEMA,
      started: started.toISOString(),
      durations: Object.fromEntries([...durations].map(([name, seconds]) => [name, Number(seconds.toFixed(2))])),
      stored: Object.fromEntries(filesOf(artifacts).map(({ path, stored }) => [basename(path), stored])),
      boots,
      ...(bootSkipped === undefined ? {} : { bootSkipped }),
    },
    redact,
  );
}

/** Every file of the artefacts, those beside the main ones included. */
export function filesOf(artifacts: readonly Artifact[]): readonly ArtifactFile[] {
  return artifacts.flatMap((artifact) => [artifact, ...(artifact.files ?? [])]);
}

/** In the notation of `sha256sum`, which checks it with `-c`. */
export function checksums(files: readonly { readonly file: string; readonly sha256: string }[]): string {
  return files.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join('');
}

/** Files outside of the definition's folder are known by their name alone; where they were says nothing to others. */
function portable(path: string): string {
  return path.startsWith('/') ? basename(path) : path;
}

function sorted(values: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function json(value: unknown, redact: (text: string) => string): string {
  return `${JSON.stringify(value, (_key, part: unknown) => (typeof part === 'string' ? redact(part) : part), 2)}\n`;
}
