import {
  type Block,
  BLOCK_SIZE,
  type ConvertJob,
  DefinitionError,
  type DiskSink,
  type DiskWriter,
  roundUp,
} from '@polyvisor/core';
import { encodeHeader } from './encode-header.js';
import { ALIGNMENT, ENTRY_SIZE, MAX_BLOCKS } from './layout.js';
import { MapWriter } from './map-writer.js';
import type { VdiOptions } from './options.js';

/** Parts of a block below which zeros are written rather than left to be a hole: the block of most file systems. */
const HOLE_UNIT = 4096;

export function createVdiWriter(job: ConvertJob<VdiOptions>): Promise<DiskWriter> {
  const { block, subformat } = job.options;
  if (Math.ceil(job.size / block) > MAX_BLOCKS) {
    const message = `${MAX_BLOCKS} blocks of ${block} bytes do not hold a disk of ${job.size} bytes`;
    return Promise.reject(
      new DefinitionError('vdi-block-too-small', message, { hint: 'choose larger ones with block=' }),
    );
  }
  return Promise.resolve(subformat === 'fixed' ? new FixedWriter(job) : new DynamicWriter(job));
}

/** Where the parts of the file are: as VirtualBox has it, the map at 1 MiB and the data behind it, at a whole MiB. */
interface Layout {
  readonly blockSize: number;
  readonly blocks: number;
  readonly mapOffset: number;
  readonly dataOffset: number;
}

function layoutOf({ size, options }: ConvertJob<VdiOptions>): Layout {
  const blocks = Math.ceil(size / options.block);
  const dataOffset = ALIGNMENT + roundUp(blocks * ENTRY_SIZE, ALIGNMENT);
  return { blockSize: options.block, blocks, mapOffset: ALIGNMENT, dataOffset };
}

/**
 * Appends the blocks of the disk that hold data in the order in which they come; a page of the map follows as soon as it
 * is complete, the header last of all. Memory: one page of the map.
 */
class DynamicWriter implements DiskWriter {
  readonly size: number;
  readonly #job: ConvertJob<VdiOptions>;
  readonly #layout: Layout;
  readonly #map: MapWriter;
  #allocated = 0;
  /** The last block of the disk that has a place in the file. */
  #last = -1;

  constructor(job: ConvertJob<VdiOptions>) {
    this.#job = job;
    this.size = job.size;
    this.#layout = layoutOf(job);
    this.#map = new MapWriter(job.sink, this.#layout.mapOffset, this.#layout.blocks);
  }

  async write(block: Block): Promise<void> {
    const { blockSize, dataOffset } = this.#layout;
    const stretches: Stretch[] = [];
    for (const { offset, length } of block.runs(Math.min(blockSize, BLOCK_SIZE))) {
      const first = Math.floor((block.offset + offset) / blockSize);
      const end = Math.ceil((block.offset + offset + length) / blockSize);
      // A large block may have got its place with an earlier part of it.
      const place = first === this.#last ? this.#allocated - 1 : this.#allocated;
      for (let index = Math.max(first, this.#last + 1); index < end; index++) {
        await this.#map.set(index, this.#allocated++);
        this.#last = index;
      }
      const start = dataOffset + place * blockSize + ((block.offset + offset) % blockSize);
      stretches.push({ end: offset + length, shift: start - offset });
    }
    await writeData(this.#job.sink, block, Math.min(blockSize, HOLE_UNIT), stretches);
  }

  async finish(): Promise<void> {
    const { blockSize, dataOffset } = this.#layout;
    await this.#map.finish();
    await this.#job.sink.write(encodeHeader(this.#job, this.#layout, this.#allocated), 0);
    await this.#job.sink.end(dataOffset + this.#allocated * blockSize);
  }

  /** Holds nothing but memory. */
  abort(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Every block has its place from the start, so the file is written from front to back: header, map, data. A file that is
 * not complete is too short for its map, and readers refuse it.
 */
class FixedWriter implements DiskWriter {
  readonly size: number;
  readonly order = 'append';
  readonly #job: ConvertJob<VdiOptions>;
  readonly #layout: Layout;
  #started = false;

  constructor(job: ConvertJob<VdiOptions>) {
    this.#job = job;
    this.size = job.size;
    this.#layout = layoutOf(job);
  }

  async write(block: Block): Promise<void> {
    await this.#start();
    const whole = { end: block.bytes.length, shift: this.#layout.dataOffset + block.offset };
    await writeData(this.#job.sink, block, HOLE_UNIT, [whole]);
  }

  async finish(): Promise<void> {
    await this.#start();
    const { blockSize, blocks, dataOffset } = this.#layout;
    await this.#job.sink.end(dataOffset + blocks * blockSize);
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }

  async #start(): Promise<void> {
    if (this.#started) return;
    this.#started = true;
    const { mapOffset, blocks } = this.#layout;
    await this.#job.sink.write(encodeHeader(this.#job, this.#layout, blocks), 0);
    const map = new MapWriter(this.#job.sink, mapOffset, blocks);
    for (let index = 0; index < blocks; index++) await map.set(index, index);
    await map.finish();
  }
}

/** A part of a block, up to `end`, that lies in the file in one piece: `shift` bytes behind where it is in the block. */
interface Stretch {
  readonly end: number;
  readonly shift: number;
}

/** Writes what is not zero. `unit` must not reach from one stretch into the next. */
async function writeData(sink: DiskSink, block: Block, unit: number, stretches: readonly Stretch[]): Promise<void> {
  const writes: Promise<void>[] = [];
  let index = 0;
  for (const { offset, length } of block.runs(unit)) {
    while ((stretches[index]?.end ?? Number.POSITIVE_INFINITY) <= offset) index++;
    writes.push(sink.write(block.bytes.subarray(offset, offset + length), offset + (stretches[index]?.shift ?? 0)));
  }
  // Lent memory must be free again when this rejects.
  const failure = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
