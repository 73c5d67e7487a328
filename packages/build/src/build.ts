import { createHash } from 'node:crypto';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  type Artifact,
  convert,
  createIdentity,
  ioError,
  ownerTag,
  type ProvisionedDisk,
  seedOf,
  stage,
  makeDirectory,
} from '@polyvisor/core';
import { createRedactor, definitionInputs } from '@polyvisor/definition';
import { checkBoots } from './boot-check.js';
import { BuildLog } from './build-log.js';
import { CleanupStack } from './cleanup.js';
import { buildReport, checksums, filesOf, manifest } from './manifest.js';
import { applianceStem, artifactNames } from './names.js';
import type { BootResult, BuildOptions, BuildResult } from './options.js';
import { createOutputDirectory, MANIFEST_NAME, mendOutputs, type OutputDirectory } from './output-directory.js';
import { type Preflight, preflight } from './preflight.js';
import { sealScript } from './seal/script.js';
import { findStale, removeStale } from './stale.js';
import { cleanWorkRoot, createWorkDirectory, type WorkDirectory } from './work-directory.js';

/**
 * Makes an appliance: build = preflight, provision (which seals), export, boot check, manifest, commit.
 *
 * The output directory appears complete or not at all. Whatever happens, what was made on the way is undone in reverse
 * order; after a kill, the next run does that. The log survives a failure, in the cache, with the consoles of boots.
 */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const { definition, signal } = options;
  const stem = applianceStem(definition.appliance);
  const redact = createRedactor(definition.appliance.secrets);
  signal.throwIfAborted();
  // What killed runs left takes space, and may even be the output that the preflight looks for.
  await cleanWorkRoot(options.workRoot, options.emit, (path) => discard(path, options));
  await mendOutputs(options.outputDir);
  // Before the log, which is the first thing that is written anywhere.
  const found = await stage(options.emit, 'preflight', 'checking the definition and this machine', () =>
    preflight(options),
  );
  await using cleanup = new CleanupStack();
  const logDir = await createLogDirectory(options.cacheDir, stem);
  const log = cleanup.use(await BuildLog.create(join(logDir, 'build.log'), redact, options.emit, options.observe));
  const run: Run = { options: { ...options, emit: log.emit }, found, stem, redact, log, logDir, cleanup };
  try {
    const result = await make(run);
    await rm(logDir, { recursive: true, force: true });
    return result;
  } catch (error) {
    log.note(`failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    if (signal.aborted) {
      await rm(logDir, { recursive: true, force: true });
    } else {
      await offerToKeep(run, error);
      log.emit({ type: 'log', level: 'info', scope: 'build', message: `the log of this build: ${log.path}` });
    }
    throw error;
  }
}

interface Run {
  /** With an `emit` that logs and hides secrets. */
  readonly options: BuildOptions;
  readonly found: Preflight;
  readonly stem: string;
  readonly redact: (text: string) => string;
  readonly log: BuildLog;
  readonly logDir: string;
  readonly cleanup: CleanupStack;
  work?: WorkDirectory;
  output?: OutputDirectory;
}

async function make(run: Run): Promise<BuildResult> {
  const { options, found, redact, log, cleanup } = run;
  const { definition, emit, signal } = options;
  const started = new Date();
  if (found.bootSkipped !== undefined)
    emit({ type: 'log', level: 'warn', scope: 'build', message: `nothing will be booted: ${found.bootSkipped}` });

  const work = (run.work = cleanup.use(await createWorkDirectory(options.workRoot, emit)));
  const output = (run.output = cleanup.use(await createOutputDirectory(options.outputDir, options.force)));
  const inputs = await definitionInputs(definition, signal);
  const time = options.epoch ?? Math.floor(started.getTime() / 1000);
  const seed = createHash('sha256').update(`${inputs.key} ${time}`).digest('hex');

  const provisioned = await provision(run, work.path, seed, time);
  const { disk, inventory } = provisioned;
  const names = artifactNames(
    run.stem,
    options.targets.map(({ converter }) => converter),
  );
  const artifacts = await convert({
    source: disk,
    targets: options.targets.map(({ converter, options: given }, index) => ({
      converter,
      options: given,
      path: join(output.partPath, names[index] ?? ''),
    })),
    // From the disk alone, so that `polyvisor convert` of the same disk gives the same files.
    identity: createIdentity(await seedOf(disk), options.epoch),
    appliance: definition.appliance,
    force: false,
    verify: options.verify,
    // The artefacts have their names only once all of them have; they are announced then.
    emit: (event) => event.type !== 'artifact' && emit(event),
    signal,
  });
  // Room for the boots, and nothing may need the disk any more.
  await provisioned[Symbol.asyncDispose]();

  const boots = await bootCheck(run, work.path, artifacts, names);
  const final = <T extends { readonly path: string }>(file: T): T => ({
    ...file,
    path: join(output.path, basename(file.path)),
  });
  const finals = artifacts.map(({ files, ...artifact }) => ({
    ...final(artifact),
    ...(files === undefined ? {} : { files: files.map(final) }),
  }));
  await stage(emit, 'commit', `writing the manifest and naming ${output.path}`, async () => {
    const text = manifest({ options, versions: found.versions, inputs, seed, inventory, artifacts: finals }, redact);
    await save(output.partPath, MANIFEST_NAME, text);
    const manifestHash = createHash('sha256').update(text).digest('hex');
    const listed = filesOf(artifacts).map(({ path, sha256 }) => ({ file: basename(path), sha256 }));
    await save(output.partPath, 'SHA256SUMS', checksums([...listed, { file: MANIFEST_NAME, sha256: manifestHash }]));
    const report = { started, durations: log.durations, artifacts: finals, boots, bootSkipped: found.bootSkipped };
    await save(output.partPath, 'build-report.json', buildReport(report, redact));
    await log.flush();
    await cp(run.logDir, join(output.partPath, 'logs'), { recursive: true });
    signal.throwIfAborted();
    await output.commit();
  });
  for (const { files = [], ...artifact } of finals) {
    for (const file of [artifact, ...files]) emit({ type: 'artifact', format: artifact.format, ...file });
  }
  return { directory: output.path, artifacts: finals, boots, bootSkipped: found.bootSkipped };
}

/** The provisioner's part of a work directory. */
function provisionDirectory(workDir: string): string {
  return join(workDir, 'provision');
}

async function discard(workDir: string, { provisioner, signal }: BuildOptions): Promise<void> {
  await provisioner.discard?.(provisionDirectory(workDir), signal);
}

async function provision(
  { options, logDir, cleanup }: Run,
  workDir: string,
  seed: string,
  time: number,
): Promise<ProvisionedDisk> {
  const { definition, provisioner, emit, signal } = options;
  const ownDir = provisionDirectory(workDir);
  await mkdir(ownDir);
  const made = await stage(emit, 'provision', `making the disk with ${provisioner.id}`, () =>
    provisioner.provision({
      appliance: definition.appliance,
      options: options.provisionerOptions,
      seal: sealScript({ keep: definition.sealKeep }),
      identity: createIdentity(seed, time),
      workDir: ownDir,
      cacheDir: resolve(options.cacheDir),
      offline: options.offline,
      logDir,
      images: options.images,
      emit,
      signal,
    }),
  );
  let released: Promise<void> | undefined;
  const once: ProvisionedDisk = {
    disk: made.disk,
    inventory: made.inventory,
    [Symbol.asyncDispose]: async () => {
      released ??= Promise.resolve(made[Symbol.asyncDispose]());
      await released;
    },
  };
  return cleanup.use(once);
}

async function bootCheck(
  { options, found, logDir }: Run,
  workDir: string,
  artifacts: readonly Artifact[],
  names: readonly string[],
): Promise<readonly BootResult[]> {
  const { booter, definition, targets, emit, signal } = options;
  if (booter === undefined || found.bootMode === 'none') return [];
  const boots = await checkBoots({
    booter,
    definition,
    mode: found.bootMode,
    settings: options.boot ?? {},
    artifacts: targets.map(({ converter }, index) => ({
      converter,
      path: artifacts[index]?.path ?? '',
      file: names[index] ?? '',
    })),
    workDir,
    logDir,
    emit,
    signal,
  });
  if (boots.length === 0)
    emit({
      type: 'log',
      level: 'warn',
      scope: 'build',
      message: `nothing was booted: ${booter.id} can open none of these formats`,
    });
  return boots;
}

/** Leaves the temporary directories where they are when that is wished, and says where. */
async function offerToKeep({ options, log, work, output }: Run, error: unknown): Promise<void> {
  const places = [work, output].filter((place) => place !== undefined);
  if (places.length === 0 || options.onError === 'cleanup') return;
  const paths = [work?.path, output?.partPath].filter((path) => path !== undefined);
  const answer = options.onError === 'keep' ? 'keep' : ((await options.ask?.(error, paths)) ?? 'cleanup');
  if (answer !== 'keep') return;
  for (const place of places) await place.keep();
  log.emit({
    type: 'log',
    level: 'warn',
    scope: 'build',
    message: `kept for you to look at, and to remove: ${paths.join(' and ')}`,
  });
}

/** A directory of this run's own for its logs; those of earlier runs of the same appliance are removed. */
async function createLogDirectory(cacheDir: string, stem: string): Promise<string> {
  const parent = join(resolve(cacheDir), 'logs');
  try {
    for (const { path, before } of await findStale(parent, /-$/, /^$/))
      if (before === `${stem}-`) await removeStale(path);
    const path = join(parent, `${stem}-${ownerTag()}`);
    await makeDirectory(parent);
    // A second build of the same process starts afresh.
    await rm(path, { recursive: true, force: true });
    await mkdir(path);
    return path;
  } catch (error) {
    throw ioError(error, `cannot make a directory for logs in ${parent}`);
  }
}

async function save(directory: string, name: string, text: string): Promise<void> {
  try {
    await writeFile(join(directory, name), text);
  } catch (error) {
    throw ioError(error, `cannot write ${join(directory, name)}`);
  }
}
