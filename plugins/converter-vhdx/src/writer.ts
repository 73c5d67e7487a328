import { type Block, type ConvertJob, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import { BatWriter } from './bat-writer.js';
import { type DiskFacts, encodeFirstMib, encodeMetadata, type FileFacts } from './encode.js';
import { batEntries, chunkRatioOf, ENTRY, MIB } from './layout.js';
import type { VhdxOptions } from './options.js';
import { settleAll, writeZeros } from './zeros.js';

/** Smallest run of zeros that is left out, in bytes: the page of most file systems. */
const UNIT = 4096;

/** Largest disk that gets blocks of 2 MiB by default; its BAT has 16 MiB. */
const SMALL_BLOCKS_UP_TO = 4 * 2 ** 40;

export function createVhdxWriter(job: ConvertJob<VhdxOptions>): Promise<DiskWriter> {
  const { sink, identity, signal, options } = job;
  const logicalSector = options['logical-sector'];
  const size = roundUp(job.size, logicalSector);
  const blockSize = options.block ?? (size <= SMALL_BLOCKS_UP_TO ? 2 * MIB : 32 * MIB);
  const disk = {
    size,
    blockSize,
    fixed: options.subformat === 'fixed',
    logicalSector,
    physicalSector: options['physical-sector'],
    diskId: options.uuid ?? identity.uuid('vhdx disk id'),
  };
  const batLength = roundUp(batEntries(size, blockSize, logicalSector, false) * ENTRY.size, MIB);
  const file = {
    log: { offset: MIB, length: MIB },
    metadata: { offset: 2 * MIB, length: MIB },
    bat: { offset: 3 * MIB, length: batLength },
    fileWriteGuid: identity.uuid('vhdx file write'),
    dataWriteGuid: identity.uuid('vhdx data write'),
  };
  const target = { sink, disk, file, sparse: options.sparse === 'auto', signal };
  return Promise.resolve(disk.fixed ? new FixedVhdxWriter(target) : new DynamicVhdxWriter(target));
}

interface VhdxTarget {
  readonly sink: DiskSink;
  readonly disk: DiskFacts;
  readonly file: FileFacts;
  /** Leave what is zero unwritten, as holes of the file. Otherwise every byte of the file is written. */
  readonly sparse: boolean;
  readonly signal: AbortSignal;
}

/**
 * Single pass: payload blocks are appended as their data comes, the BAT is written page by page as the pass leaves them
 * behind, and the first MiB last. Memory is one page of the BAT, whatever the size of the disk.
 *
 *     identifier, headers, region tables | log (empty) | metadata | BAT | { payload block }
 */
class DynamicVhdxWriter implements DiskWriter {
  readonly size: number;
  readonly #target: VhdxTarget;
  readonly #bat: BatWriter;
  /** Up to here the file is filled with data and, where it must not have holes, zeros. */
  #written: number;
  /** Where the next payload block goes, in bytes. */
  #end: number;
  /** The payload block that was allocated last. */
  #block = -1;

  constructor(target: VhdxTarget) {
    const { sink, disk, file, sparse } = target;
    this.size = disk.size;
    this.#target = target;
    this.#bat = batOf(sink, disk, file, !sparse);
    this.#end = file.bat.offset + file.bat.length;
    this.#written = this.#end;
  }

  async write(block: Block): Promise<void> {
    const { blockSize } = this.#target.disk;
    const writes: Promise<void>[] = [];
    try {
      for (const run of block.runs(UNIT)) {
        const start = block.offset + run.offset;
        const last = Math.floor((start + run.length - 1) / blockSize);
        for (let index = Math.floor(start / blockSize); index <= last; index++) await this.#allocate(index);
        // Blocks that follow each other on the disk and hold one run follow each other in the file.
        const at = this.#end - (this.#block + 1) * blockSize + start;
        await this.#fill(at);
        writes.push(this.#target.sink.write(block.bytes.subarray(run.offset, run.offset + run.length), at));
        this.#written = at + run.length;
      }
    } finally {
      await settleAll(writes);
    }
  }

  async finish(): Promise<void> {
    const { sink, file } = this.#target;
    await this.#fill(this.#end);
    await this.#bat.finish();
    await writeMetadata(this.#target);
    await sink.write(encodeFirstMib(file), 0);
    await sink.end(Math.max(this.#end, file.bat.offset + file.bat.length));
  }

  /** Holds nothing but memory. */
  abort(): Promise<void> {
    return Promise.resolve();
  }

  async #allocate(index: number): Promise<void> {
    if (index === this.#block) return;
    await this.#bat.set(index, this.#end);
    this.#block = index;
    this.#end += this.#target.disk.blockSize;
  }

  async #fill(end: number): Promise<void> {
    if (!this.#target.sparse) await writeZeros(this.#target.sink, this.#written, end, this.#target.signal);
  }
}

/**
 * Strictly from front to back: all places are known before the first byte of data, so the first MiB and the BAT go first.
 * A file that is cut short is no image yet: its BAT leads behind its end.
 */
class FixedVhdxWriter implements DiskWriter {
  readonly size: number;
  readonly order = 'append';
  readonly #target: VhdxTarget;
  /** First byte of the payload in the file. */
  readonly #payload: number;
  readonly #blocks: number;
  #begun = false;
  #written: number;

  constructor(target: VhdxTarget) {
    const { disk, file } = target;
    this.size = disk.size;
    this.#target = target;
    this.#payload = file.bat.offset + file.bat.length;
    this.#blocks = Math.ceil(disk.size / disk.blockSize);
    this.#written = this.#payload;
  }

  async write(block: Block): Promise<void> {
    await this.#begin();
    const writes: Promise<void>[] = [];
    try {
      for (const run of block.runs(UNIT)) {
        const at = this.#payload + block.offset + run.offset;
        await this.#fill(at);
        writes.push(this.#target.sink.write(block.bytes.subarray(run.offset, run.offset + run.length), at));
        this.#written = at + run.length;
      }
    } finally {
      await settleAll(writes);
    }
  }

  async finish(): Promise<void> {
    await this.#begin();
    const end = this.#payload + this.#blocks * this.#target.disk.blockSize;
    await this.#fill(end);
    await this.#target.sink.end(end);
  }

  /** Holds nothing but memory. */
  abort(): Promise<void> {
    return Promise.resolve();
  }

  /** Everything before the payload. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const { sink, disk, file, signal } = this.#target;
    await sink.write(encodeFirstMib(file), 0);
    await writeMetadata(this.#target);
    const bat = batOf(sink, disk, file, true);
    for (let block = 0; block < this.#blocks; block++) {
      if (block % 65_536 === 0) signal.throwIfAborted();
      await bat.set(block, this.#payload + block * disk.blockSize);
    }
    await bat.finish();
  }

  async #fill(end: number): Promise<void> {
    if (!this.#target.sparse) await writeZeros(this.#target.sink, this.#written, end, this.#target.signal);
  }
}

function batOf(sink: DiskSink, disk: DiskFacts, file: FileFacts, everyPage: boolean): BatWriter {
  const chunkRatio = chunkRatioOf(disk.blockSize, disk.logicalSector);
  return new BatWriter(sink, file.bat.offset, file.bat.length, chunkRatio, everyPage);
}

/** The log, which is empty, and the metadata behind it. */
async function writeMetadata({ sink, disk, file, sparse, signal }: VhdxTarget): Promise<void> {
  const metadata = encodeMetadata(disk);
  if (!sparse) await writeZeros(sink, file.log.offset, file.log.offset + file.log.length, signal);
  await sink.write(metadata, file.metadata.offset);
  if (!sparse) {
    const { offset, length } = file.metadata;
    await writeZeros(sink, offset + metadata.length, offset + length, signal);
  }
}
