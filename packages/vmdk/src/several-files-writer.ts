import { type Block, type ConvertJob, DefinitionError, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import { type DescriptorOptions, descriptorText } from './descriptor.js';
import { MAX_EXTENTS, SECTOR } from './layout.js';
import { SparseExtentWriter } from './sparse-extent-writer.js';

export type SplitType = 'monolithicFlat' | 'twoGbMaxExtentSparse' | 'twoGbMaxExtentFlat' | 'vmfs';

/** VMware's tools cut disks into parts of 2047 MiB, so that no file needs more than 31 bits for its length. */
export const PART_SIZE = 4_192_256 * SECTOR;

/** Holes are kept in units of this many bytes: a page, and the block of most file systems. */
const PAGE = 4096;

export interface SeveralFilesOptions extends Pick<
  DescriptorOptions,
  'adapterType' | 'hardwareVersion' | 'contentId' | 'uuid' | 'toolsVersion'
> {
  readonly createType: SplitType;
  readonly grain: number;
}

/** One of the files beside the descriptor. Positions are those of the part. */
interface Part {
  readonly sink: DiskSink;
  readonly size: number;
  readonly line: string;
  /** Absent in flat parts. */
  readonly sparse: SparseExtentWriter | undefined;
}

/**
 * Writes a descriptor and the files that it names. Files are opened before anything is written, so that a name which is taken is
 * found out at once, and completed as the pass goes by; the descriptor is last. Memory: one grain table, whatever the
 * number of parts; a file handle for each part, which is why there are at most 4096.
 */
export class SeveralFilesWriter implements DiskWriter {
  readonly size: number;
  readonly order = 'random';
  readonly #job: SplitJob;
  readonly #options: SeveralFilesOptions;
  readonly #parts: readonly Part[];
  readonly #partSize: number;
  /** Parts before this one are complete. */
  #current = 0;

  private constructor(job: SplitJob, options: SeveralFilesOptions, size: number, parts: readonly Part[]) {
    this.#job = job;
    this.#options = options;
    this.size = size;
    this.#parts = parts;
    this.#partSize = partSizeOf(options.createType, size);
  }

  static async create(job: SplitJob, options: SeveralFilesOptions): Promise<SeveralFilesWriter> {
    const { createType, grain } = options;
    const sparse = createType === 'twoGbMaxExtentSparse';
    const size = sparse ? roundUp(job.size, grain) : job.size;
    const partSize = partSizeOf(createType, size);
    const count = Math.ceil(size / partSize);
    if (count > MAX_EXTENTS) {
      throw new DefinitionError(
        'disk-too-large',
        `${createType} would cut this disk into ${count} files, at most ${MAX_EXTENTS} are written`,
        { hint: 'choose subformat=monolithicFlat or streamOptimized' },
      );
    }
    const stem = stemOf(job.output.name);
    const parts: Part[] = [];
    for (let index = 0; index < count; index++) {
      const name = partName(createType, stem, index);
      const length = Math.min(partSize, size - index * partSize);
      const sink = await job.output.beside(name);
      parts.push({
        sink,
        size: length,
        line: extentLine(createType, length / SECTOR, name),
        sparse: sparse ? new SparseExtentWriter({ sink, size: length, grainSize: grain }) : undefined,
      });
    }
    return new SeveralFilesWriter(job, options, size, parts);
  }

  async write({ offset, bytes, runs }: Block): Promise<void> {
    const { createType, grain } = this.#options;
    const writes: Promise<void>[] = [];
    try {
      for (const run of runs(createType === 'twoGbMaxExtentSparse' ? grain : PAGE)) {
        // A run may go from one part into the next: parts are not whole blocks.
        for (let at = run.offset; at < run.offset + run.length;) {
          const index = Math.floor((offset + at) / this.#partSize);
          const inPart = offset + at - index * this.#partSize;
          const length = Math.min(run.offset + run.length - at, this.#partSize - inPart);
          const data = bytes.subarray(at, at + length);
          if (index !== this.#current) await settle(writes.splice(0));
          const part = await this.#advance(index);
          if (part.sparse === undefined) writes.push(part.sink.write(data, inPart));
          else await part.sparse.write(data, inPart);
          at += length;
        }
      }
    } finally {
      await settle(writes);
    }
  }

  async finish(): Promise<void> {
    await this.#advance(this.#parts.length);
    const { createType, adapterType, hardwareVersion, contentId, uuid, toolsVersion } = this.#options;
    const text = Buffer.from(
      descriptorText({
        capacity: this.size / SECTOR,
        createType,
        adapterType,
        hardwareVersion,
        contentId,
        uuid,
        ...(toolsVersion === undefined ? {} : { toolsVersion }),
        identity: this.#job.identity,
        extents: this.#parts.map(({ line }) => line),
      }),
    );
    await this.#job.sink.write(text, 0);
    await this.#job.sink.end(text.length);
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }

  /** Completes the parts before `index`, which no further block can reach, and returns that one. */
  async #advance(index: number): Promise<Part> {
    for (; this.#current < index; this.#current++) {
      const part = this.#parts[this.#current];
      if (part?.sparse === undefined) await part?.sink.end(part.size);
      else await part.sparse.finish();
    }
    return this.#parts[index] as Part;
  }
}

type SplitJob = Pick<ConvertJob, 'size' | 'sink' | 'output' | 'identity'>;

function partSizeOf(createType: SplitType, size: number): number {
  return createType.startsWith('twoGb') ? PART_SIZE : size;
}

/** The names that VMware's tools give: `disk-flat.vmdk`, `disk-s001.vmdk`, `disk-f001.vmdk`. */
function partName(createType: SplitType, stem: string, index: number): string {
  if (!createType.startsWith('twoGb')) return `${stem}-flat.vmdk`;
  return `${stem}-${createType === 'twoGbMaxExtentFlat' ? 'f' : 's'}${String(index + 1).padStart(3, '0')}.vmdk`;
}

function extentLine(createType: SplitType, sectors: number, name: string): string {
  if (createType === 'vmfs') return `RW ${sectors} VMFS "${name}"`;
  return createType === 'twoGbMaxExtentSparse' ? `RW ${sectors} SPARSE "${name}"` : `RW ${sectors} FLAT "${name}" 0`;
}

/** The name without its extension. What would end the quotes in the descriptor, or its line, cannot be in it. */
function stemOf(name: string): string {
  const stem = name.replace(/\.vmdk$/i, '');
  if (!/["\p{Cc}]/u.test(stem)) return stem;
  throw new DefinitionError('vmdk-name', `the name ${JSON.stringify(name)} cannot be written into a VMDK descriptor`, {
    hint: 'choose a name without quotes and control characters',
  });
}

/** Waits for all writes, and rejects with the first failure only then: the block is not read any more. */
async function settle(writes: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(writes);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
