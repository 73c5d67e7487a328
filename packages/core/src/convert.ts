import { createHash } from 'node:crypto';
import type { ApplianceFacts } from './appliance.js';
import { type Destination, type Output, Outputs } from './convert-outputs.js';
import type { ConvertJob, DiskConverter, DiskWriter, OutputFiles } from './converter.js';
import { createDeflater } from './deflate.js';
import type { ByteSource, DiskSink, DiskSource } from './disk.js';
import { DefinitionError, FormatError } from './errors.js';
import { type Emit, stage } from './events.js';
import { assertFits } from './fit.js';
import type { Identity } from './identity.js';
import type { Sparse } from './output.js';
import { pump } from './pump.js';
import { compareDisks } from './verify.js';

export interface Target {
  readonly converter: DiskConverter;
  /** As the user gave them; the converter checks. */
  readonly options: unknown;
  /** Of a stream: its name for messages. */
  readonly path: string;
  /** Default: a file. Anything else must be the only target. */
  readonly destination?: Destination;
}

export interface ConvertRequest {
  /** Borrowed. */
  readonly source: DiskSource;
  /** The disks that follow it, for formats that hold several. Borrowed. */
  readonly furtherSources?: readonly DiskSource[];
  readonly targets: readonly Target[];
  /** All formats there are, for refusals that name others. */
  readonly formats?: readonly DiskConverter[];
  readonly identity: Identity;
  readonly appliance: ApplianceFacts;
  /** Replace files that exist. */
  readonly force: boolean;
  /** Default `auto`. */
  readonly sparse?: Sparse;
  /** Read every output back through its format's reader and compare, before it gets its name. */
  readonly verify: boolean;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** A file of a finished output. */
export interface ArtifactFile {
  readonly path: string;
  /** Length of the file in bytes. */
  readonly bytes: number;
  /** Bytes that the file occupies on this file system. */
  readonly stored: number;
  /** Of the file's whole content, in lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** A finished output: its file, and those beside it. */
export interface Artifact extends ArtifactFile {
  readonly format: string;
  /** Guest-visible size of its (first) disk in bytes; larger than the source's where the format needs it. */
  readonly size: number;
  /** Files beside it that belong to it; absent when there are none. */
  readonly files?: readonly ArtifactFile[];
}

interface Job {
  readonly target: Target;
  readonly output: Output;
  readonly writer: DiskWriter;
}

/**
 * Writes one disk in every format asked for, reading it once. All outputs appear under their final names, or none:
 * writers are created, fed, finished, hashed and (on request) verified, and only then everything is committed. Pipes and
 * devices cannot wait for that, so such an output is alone.
 */
export async function convert(request: ConvertRequest): Promise<readonly Artifact[]> {
  const { source, furtherSources = [], targets, emit, signal, force, sparse = 'auto' } = request;
  const sources = [source, ...furtherSources];
  for (const { converter } of targets) for (const { size } of sources) assertFits(converter, size);
  refuseUnable(request);
  const all = new Outputs({ force, sparse, signal });
  for (const { path, converter } of targets) all.claim(path, converter.id);
  const outputs: Output[] = [];
  const writers: DiskWriter[] = [];
  try {
    const jobs: Job[] = [];
    const deflater = createDeflater();
    for (const target of targets) {
      const { converter, path, destination = { kind: 'file' } } = target;
      const job = (sink: DiskSink, files: OutputFiles): ConvertJob => ({
        size: source.size,
        sink,
        output: files,
        furtherDisks: furtherSources.map(({ size }) => size),
        options: target.options,
        identity: request.identity,
        deflater,
        appliance: request.appliance,
        signal,
      });
      if (destination.kind === 'stream') await expectAppending(request, converter, job);
      const output = await all.create(path, converter.id, destination, source.size);
      outputs.push(output);
      const writer = await converter.create(job(output.sink, output.files));
      writers.push(writer);
      jobs.push({ target, output, writer });
    }
    const formats = targets.map((target) => target.converter.id).join(', ');
    await stage(emit, 'export', `writing ${formats}`, async () => {
      const onProgress = (done: number, total: number) =>
        emit({ type: 'progress', stage: 'export', done, total, unit: 'bytes' });
      for (const [index, disk] of sources.entries()) {
        if (index > 0) await Promise.all(writers.map(async (writer) => writer.nextDisk?.()));
        await pump(disk, writers, { signal, onProgress });
      }
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
    await all.commit();
    for (const { files = [], ...artifact } of artifacts) {
      for (const file of [artifact, ...files]) emit({ type: 'artifact', format: artifact.format, ...file });
    }
    return artifacts;
  } catch (error) {
    await Promise.all(writers.map((writer) => writer.abort().catch(() => undefined)));
    await Promise.all(outputs.map((output) => output.discard()));
    throw error;
  }
}

async function verifyOutput(
  { target, output }: Job,
  { source, furtherSources = [], emit, signal }: ConvertRequest,
  stageName: string,
): Promise<void> {
  const sources = [source, ...furtherSources];
  const onProgress = (done: number, total: number) =>
    emit({ type: 'progress', stage: stageName, done, total, unit: 'bytes' });
  for (const [index, expected] of sources.entries()) {
    await using file = await output.open();
    const options = sources.length > 1 ? { disk: String(index + 1) } : {};
    await using disk = (await target.converter.open(file, options)).disk;
    const result = await compareDisks(expected, disk, { signal, onProgress });
    if (result.equal) continue;
    throw new FormatError('verify-failed', `what was written does not read back as it was`, {
      file: target.path,
      expected: `byte ${result.first} at offset ${result.offset} of ${sources.length > 1 ? `disk ${index + 1}` : 'the disk'}`,
      found: `${result.second}`,
    });
  }
}

async function describe({ target, output, writer }: Job, signal: AbortSignal): Promise<Artifact> {
  const described: ArtifactFile[] = [];
  for (const { path, bytes, stored, open, sha256 } of await output.parts()) {
    await using file = await open?.();
    described.push({
      path,
      bytes,
      stored,
      sha256: file === undefined ? (sha256 ?? '') : await digest(file, 'sha256', signal),
    });
  }
  const [main, ...files] = described as [ArtifactFile, ...ArtifactFile[]];
  return {
    ...main,
    format: target.converter.id,
    size: writer.size,
    ...(files.length > 0 ? { files } : {}),
  };
}

/** Refuses what the targets cannot do, before anything is made. */
function refuseUnable({ targets, furtherSources = [], formats = [], verify }: ConvertRequest): void {
  for (const { converter, destination } of targets) {
    if (furtherSources.length > 0 && converter.capabilities.severalDisks !== true) {
      const able = formats.filter(({ capabilities }) => capabilities.severalDisks === true).map(({ id }) => id);
      throw new DefinitionError(
        'disks-too-many',
        `${converter.id} holds one disk, ${furtherSources.length + 1} are given`,
        {
          hint: `convert them one by one${able.length > 0 ? `, or into ${able.join(' or ')}, which can hold several` : ''}`,
        },
      );
    }
    const { kind } = destination ?? { kind: 'file' };
    if (kind === 'file') continue;
    const where = kind === 'stream' ? 'standard output' : 'a device';
    if (targets.length > 1) {
      throw new DefinitionError('output-not-alone', `${where} takes a single output, ${targets.length} are wanted`, {
        hint: 'name a directory with -o',
      });
    }
    if (kind === 'stream' && verify) {
      throw new DefinitionError('verify-impossible', 'what went into a pipe cannot be read back', {
        hint: 'leave out --verify, or write to a file',
      });
    }
  }
}

/**
 * Makes a writer that writes nowhere, to see whether it would go front to back with these options: the real one may write
 * as soon as it is made.
 */
async function expectAppending(
  { formats = [] }: ConvertRequest,
  converter: DiskConverter,
  job: (sink: DiskSink, files: OutputFiles) => ConvertJob,
): Promise<void> {
  const nowhere: DiskSink = { write: () => Promise.resolve(), end: () => Promise.resolve() };
  const writer = await converter.create(job(nowhere, { name: '-', beside: () => Promise.resolve(nowhere) }));
  await writer.abort();
  if ((writer.order ?? converter.capabilities.order) === 'append') return;
  const able = formats.filter(({ capabilities }) => capabilities.order === 'append').map(({ id }) => id);
  throw new DefinitionError(
    'output-not-appendable',
    `${converter.id} is not written from front to back with these options, as standard output needs it`,
    {
      hint: `${able.length > 0 ? `${able.join(', ')} can go to a pipe; ` : ''}some formats can with options (\`polyvisor plugins --options ${converter.id}\`), all to a file`,
    },
  );
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
