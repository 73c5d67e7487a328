import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ApplianceFacts } from './appliance.js';
import type { DiskConverter, DiskWriter } from './converter.js';
import { createDeflater } from './deflate.js';
import type { ByteSource, DiskSource } from './disk.js';
import { DefinitionError, FormatError } from './errors.js';
import { type Emit, stage } from './events.js';
import { openImageFile } from './file.js';
import { assertFits } from './fit.js';
import type { Identity } from './identity.js';
import { commitOutputs, createOutput, type OutputFile } from './output.js';
import { pump } from './pump.js';
import { compareDisks } from './verify.js';

export interface Target {
  readonly converter: DiskConverter;
  /** As the user gave them; the converter checks. */
  readonly options: unknown;
  readonly path: string;
}

export interface ConvertRequest {
  /** Borrowed. */
  readonly source: DiskSource;
  readonly targets: readonly Target[];
  readonly identity: Identity;
  readonly appliance: ApplianceFacts;
  /** Replace files that exist. */
  readonly force: boolean;
  /** Read every output back through its format's reader and compare, before it gets its name. */
  readonly verify: boolean;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** A finished output. */
export interface Artifact {
  readonly path: string;
  readonly format: string;
  /** Guest-visible size in bytes; larger than the source's where the format needs it. */
  readonly size: number;
  /** Length of the file in bytes. */
  readonly bytes: number;
  /** Bytes that the file occupies on this file system. */
  readonly stored: number;
  /** Of the file's whole content, in lower-case hexadecimal digits. */
  readonly sha256: string;
}

interface Job {
  readonly target: Target;
  readonly output: OutputFile;
  readonly writer: DiskWriter;
}

/**
 * Writes one disk in every format asked for, reading it once. All outputs appear under their final names, or none:
 * writers are created, fed, finished, hashed and (on request) verified, and only then everything is committed.
 */
export async function convert(request: ConvertRequest): Promise<readonly Artifact[]> {
  const { source, targets, emit, signal } = request;
  for (const { converter } of targets) assertFits(converter, source.size);
  refuseEqualPaths(targets);
  const outputs: OutputFile[] = [];
  const writers: DiskWriter[] = [];
  try {
    const jobs: Job[] = [];
    const deflater = createDeflater();
    for (const target of targets) {
      const output = await createOutput(target.path, request.force);
      outputs.push(output);
      const writer = await target.converter.create({
        size: source.size,
        sink: output.sink,
        output: {
          name: basename(target.path),
          beside: async (name) => {
            const further = await createOutput(join(dirname(target.path), name), request.force);
            outputs.push(further);
            return further.sink;
          },
        },
        furtherDisks: [],
        options: target.options,
        identity: request.identity,
        deflater,
        appliance: request.appliance,
        signal,
      });
      writers.push(writer);
      jobs.push({ target, output, writer });
    }
    const formats = targets.map((target) => target.converter.id).join(', ');
    await stage(emit, 'export', `writing ${formats}`, async () => {
      const onProgress = (done: number, total: number) =>
        emit({ type: 'progress', stage: 'export', done, total, unit: 'bytes' });
      await pump(source, writers, { signal, onProgress });
      await Promise.all(writers.map((writer) => writer.finish()));
      await Promise.all(outputs.map((output) => output.close()));
    });
    if (request.verify) {
      for (const job of jobs) {
        const name = `verify ${job.target.converter.id}`;
        await stage(emit, name, `reading ${job.target.converter.id} back`, () => verifyOutput(job, request, name));
      }
    }
    const artifacts = await stage(emit, 'checksum', 'hashing the outputs', () =>
      Promise.all(jobs.map((job) => describe(job, signal))),
    );
    signal.throwIfAborted();
    await commitOutputs(outputs, request.force);
    for (const artifact of artifacts) emit({ type: 'artifact', ...artifact });
    return artifacts;
  } catch (error) {
    await Promise.all(writers.map((writer) => writer.abort().catch(() => undefined)));
    await Promise.all(outputs.map((output) => output.discard()));
    throw error;
  }
}

async function verifyOutput(
  { target, output }: Job,
  { source, emit, signal }: ConvertRequest,
  stageName: string,
): Promise<void> {
  await using file = await openImageFile(output.partPath);
  await using disk = (await target.converter.open(file)).disk;
  const onProgress = (done: number, total: number) =>
    emit({ type: 'progress', stage: stageName, done, total, unit: 'bytes' });
  const result = await compareDisks(source, disk, { signal, onProgress });
  if (result.equal) return;
  throw new FormatError('verify-failed', `what was written does not read back as it was`, {
    file: output.path,
    expected: `byte ${result.first} at offset ${result.offset} of the disk`,
    found: `${result.second}`,
  });
}

async function describe({ target, output, writer }: Job, signal: AbortSignal): Promise<Artifact> {
  await using file = await openImageFile(output.partPath);
  return {
    path: output.path,
    format: target.converter.id,
    size: writer.size,
    bytes: file.size,
    stored: (await stat(output.partPath)).blocks * 512,
    sha256: await digest(file, 'sha256', signal),
  };
}

/** Hash of a source's whole content, as hexadecimal digits. Holes are hashed without being read. */
export async function digest(
  source: ByteSource,
  algorithm: 'sha256' | 'sha512' | 'sha1' | 'md5',
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm);
  const buffer = new Uint8Array(1024 * 1024);
  const zeros = new Uint8Array(buffer.length);
  let position = 0;
  const addZeros = async (end: number) => {
    while (position < end) {
      const length = Math.min(zeros.length, end - position);
      hash.update(zeros.subarray(0, length));
      position += length;
      if (position % (64 * zeros.length) < length) await new Promise(setImmediate); // let others run
    }
  };
  for await (const extent of source.extents(signal)) {
    await addZeros(extent.offset);
    while (position < extent.offset + extent.length) {
      signal?.throwIfAborted();
      const part = buffer.subarray(0, Math.min(buffer.length, extent.offset + extent.length - position));
      await source.read(part, position);
      hash.update(part);
      position += part.length;
    }
  }
  await addZeros(source.size);
  return hash.digest('hex');
}

function refuseEqualPaths(targets: readonly Target[]): void {
  const seen = new Map<string, string>();
  for (const { path, converter } of targets) {
    const other = seen.get(resolve(path));
    if (other !== undefined) {
      throw new DefinitionError('output-twice', `${other} and ${converter.id} would both be written to ${path}`, {
        hint: 'give them different names',
      });
    }
    seen.set(resolve(path), converter.id);
  }
}
