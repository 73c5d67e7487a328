import {
  type ConvertJob,
  createDeflater,
  createIdentity,
  type DiskConverter,
  type DiskSource,
  type DiskWriter,
  type ImageFile,
  pump,
} from '@polyvisor/core';
import { sampleFacts } from '../facts.js';
import { memoryFile, type MemorySink, memorySink } from '../memory.js';

/** A signal that is never given. */
export const never: AbortSignal = new AbortController().signal;

/** What a writer made, in memory. */
export interface Written {
  readonly sink: MemorySink;
  readonly writer: DiskWriter;
}

/**
 * Writes a disk through the pump into memory, as `convert` does into files. A writer that promises to go from front to back
 * and goes back makes it reject.
 */
export async function write(
  converter: DiskConverter,
  source: DiskSource,
  options: unknown,
  sink: MemorySink = memorySink(),
  signal: AbortSignal = never,
): Promise<Written> {
  const writer = await converter.create({ ...job(source.size, sink, options), signal });
  try {
    await pump(source, [writer], { signal });
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  expectOrder(converter, writer, sink);
  return { sink, writer };
}

function expectOrder(converter: DiskConverter, writer: DiskWriter, sink: MemorySink): void {
  if ((writer.order ?? converter.capabilities.order) !== 'append') return;
  for (const { wentBack } of [sink, ...sink.files.values()]) {
    if (wentBack === undefined) continue;
    throw new Error(`a writer of order 'append' went back to offset ${wentBack.to} when it stood at ${wentBack.from}`);
  }
}

/** A job for a converter under test: fixed identity, sample appliance. */
export function job(size: number, sink: MemorySink, options: unknown): ConvertJob {
  return {
    size,
    sink,
    output: { name: 'disk', beside: (name) => sink.beside(name) },
    furtherDisks: [],
    options,
    identity: createIdentity('test'),
    deflater: createDeflater(),
    appliance: sampleFacts,
    signal: never,
  };
}

/** What was written as plain bytes, to be damaged: the image first, then the files beside it. For small files. */
export interface Parts {
  /** Files by name; the image itself is the empty name. Their bytes may be changed in place. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The image as a reader gets it, with `replaced` in place of the files of these names; undefined takes one away. */
  image(replaced?: ReadonlyMap<string, Uint8Array | undefined>): ImageFile;
}

export function partsOf(sink: MemorySink): Parts {
  const files = new Map<string, Uint8Array>([['', sink.bytes()]]);
  for (const [name, further] of sink.files) files.set(name, further.bytes());
  return {
    files,
    image: (replaced = new Map()) => {
      const all = new Map<string, Uint8Array>();
      for (const [name, bytes] of files) {
        const present = replaced.has(name) ? replaced.get(name) : bytes;
        if (present !== undefined) all.set(name, present);
      }
      return memoryFile(all.get('') ?? new Uint8Array(0), 'memory', all);
    },
  };
}
