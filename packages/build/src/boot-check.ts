import { mkdir, rm, stat } from 'node:fs/promises';
import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';
import { type Booter, type Emit, GuestError, openImageFile, stage } from '@polyvisor/core';
import type { Definition } from '@polyvisor/definition';
import { type Bootable, type PlannedBoot, planBoots } from './boot-plan.js';
import type { BootCheckMode, BootResult, BootSettings, BuildTarget } from './options.js';

export interface BootCheckJob {
  readonly booter: Booter;
  readonly definition: Definition;
  readonly mode: BootCheckMode;
  readonly settings: BootSettings;
  /** The artefacts, with what wrote them, in the order of the targets. */
  readonly artifacts: readonly {
    readonly path: string;
    readonly file: string;
    readonly converter: BuildTarget['converter'];
  }[];
  /** Exists; each boot gets a directory of its own in it. */
  readonly workDir: string;
  /** Exists; the console logs go here. */
  readonly logDir: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** The most that a guest gets: a boot to the login prompt needs no more, and several run side by side. */
const MEMORY_LIMIT = 1024 * 2 ** 20;

const DEFAULT_TIMEOUT = 180_000;
const DEFAULT_EXPECT = 'login:';

interface BootableArtifact extends Bootable {
  readonly path: string;
  readonly format: string;
}

/** Boots the artefacts themselves, several at a time, and checks that none was changed by that. The first failure ends the others. */
export async function checkBoots(job: BootCheckJob): Promise<readonly BootResult[]> {
  const { definition, mode, booter } = job;
  const artifacts: BootableArtifact[] = [];
  for (const { path, file, converter } of job.artifacts) {
    if (converter.blockNode === undefined) continue;
    await using image = await openImageFile(path);
    artifacts.push({ path, file, format: converter.id, node: await converter.blockNode(image) });
  }
  const firmware = definition.appliance.firmware.filter((kind) => booter.capabilities.firmware.includes(kind));
  for (const kind of definition.appliance.firmware.filter((wanted) => !firmware.includes(wanted))) {
    const message = `nothing is booted under ${kind.toUpperCase()}: ${booter.id} cannot do that here; \`polyvisor doctor\` tells more`;
    job.emit({ type: 'log', level: 'warn', scope: 'build', message });
  }
  const boots = planBoots(artifacts, firmware, mode);
  const memory = Math.min(definition.appliance.memory, MEMORY_LIMIT);
  const parallel = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / memory)));

  const failed = new AbortController();
  const signal = AbortSignal.any([job.signal, failed.signal]);
  const before = await Promise.all(artifacts.map(({ path }) => fingerprint(path)));
  const results: BootResult[] = [];
  const waiting = boots.map((boot, index) => ({ boot, index }));
  let failure: unknown;
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
      try {
        results[next.index] = await bootOne(job, next.boot, next.index, memory, signal);
      } catch (error) {
        // What the others say from now on is that they were cancelled.
        if (!failed.signal.aborted) failure = error;
        failed.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, boots.length) }, worker));
  job.signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  for (const [index, artifact] of artifacts.entries()) {
    if ((await fingerprint(artifact.path)) !== before[index]) {
      throw new GuestError('boot-changed-image', `${artifact.path} was changed while ${booter.id} booted it`, {
        hint: 'please report this: a booter must never write to an image',
      });
    }
  }
  return results;
}

async function bootOne(
  job: BootCheckJob,
  { artifact, firmware }: PlannedBoot<BootableArtifact>,
  index: number,
  memory: number,
  signal: AbortSignal,
): Promise<BootResult> {
  const { definition, settings, booter } = job;
  const name = `boot ${artifact.format} ${firmware}`;
  const workDir = join(job.workDir, `boot-${index}`);
  await mkdir(workDir);
  try {
    const report = await stage(
      job.emit,
      name,
      `booting ${artifact.format} under ${firmware.toUpperCase()}`,
      () =>
        booter.boot({
          path: artifact.path,
          node: artifact.node,
          architecture: definition.appliance.architecture,
          firmware,
          cpus: 1,
          memory,
          expect: settings.expect ?? new RegExp(escapeExpression(definition.bootCheck?.expect ?? DEFAULT_EXPECT)),
          timeout: settings.timeout ?? definition.bootCheck?.timeout ?? DEFAULT_TIMEOUT,
          workDir,
          consoleLog: join(job.logDir, `console-${artifact.format}-${firmware}-${index + 1}.log`),
          emit: (event) =>
            job.emit(event.type === 'waiting' || event.type === 'progress' ? { ...event, stage: name } : event),
          signal,
        }),
      ({ matched }) => matched.trim(),
    );
    return { file: artifact.file, format: artifact.format, firmware, ...report };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/**
 * The time of an inode's last change moves with every write and cannot be set back, so this tells as much as a hash of the
 * whole file does, without reading it twice more.
 */
async function fingerprint(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}

function escapeExpression(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
