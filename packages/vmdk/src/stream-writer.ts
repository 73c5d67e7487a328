import { type Block, type ConvertJob, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import { Appender } from './appender.js';
import { type AdapterType, DESCRIPTOR_SECTORS, encodeDescriptor } from './descriptor.js';
import { directorySize, refuseOversize } from './limits.js';
import {
  COMPRESSION_DEFLATE,
  DIRECTORY_IN_FOOTER,
  ENTRIES_PER_TABLE,
  FLAG,
  GRAIN_SIZE,
  HEADER,
  MAGIC,
  MARKER,
  MARKER_TYPE,
  NEWLINES,
  SECTOR,
  STREAM_VERSION,
  TABLE_SECTORS,
  TABLE_SIZE,
} from './layout.js';

export interface StreamOptions {
  readonly adapterType: AdapterType;
  readonly hardwareVersion: number;
  /** Of zlib, 1 (fast) to 9 (small). */
  readonly level: number;
  /** Bytes of a grain, a power of two; 64 KiB when absent, as everybody writes. */
  readonly grain?: number | undefined;
  readonly contentId?: string | undefined;
  readonly uuid?: string | undefined;
  readonly toolsVersion?: number;
}

export type StreamJob = Pick<ConvertJob, 'size' | 'sink' | 'identity' | 'deflater'>;

/** Sectors before the first grain: header, descriptor, zeros. */
const OVERHEAD_SECTORS = 128;

/**
 * Writes a stream-optimized VMDK in the layout of VMware's ovftool, strictly from front to back:
 *
 *   header, descriptor, zeros, { grains of 32 MiB, table marker, table }, directory marker, directory,
 *   footer marker, footer, end-of-stream marker, and nothing after that.
 *
 * Zero grains are left out, and so is a table without grains. Memory: one table, 4 bytes per 32 MiB of disk, and the
 * appender's buffers; compressed grains belong to the job's deflater.
 */
export class StreamWriter implements DiskWriter {
  readonly size: number;
  readonly order = 'append';
  readonly #grainSize: number;
  readonly #options: StreamOptions;
  readonly #job: StreamJob;
  readonly #sink: DiskSink;
  readonly #appender: Appender;
  readonly #table = Buffer.alloc(TABLE_SIZE);
  readonly #directory: Buffer;
  /** Which table is in memory; -1 before the first grain. */
  #tableIndex = -1;
  #grains = 0;
  #started = false;

  constructor(job: StreamJob, options: StreamOptions) {
    this.#job = job;
    this.#options = options;
    this.#sink = job.sink;
    this.#appender = new Appender(job.sink);
    // VMware's tools want whole grains.
    this.#grainSize = options.grain ?? GRAIN_SIZE;
    this.size = roundUp(job.size, this.#grainSize);
    this.#directory = Buffer.alloc(directorySize(this.size, this.#grainSize));
  }

  /** Bytes of the disk that are stored, before compression. */
  get allocated(): number {
    return this.#grains * this.#grainSize;
  }

  prepare(block: Block): void {
    // `write` asks for the same and awaits it; a failure before that must not count as unhandled.
    for (const start of grainsOf(block, this.#grainSize)) this.#compress(block, start).catch(() => undefined);
  }

  async write(block: Block): Promise<void> {
    this.prepare(block);
    await this.#start();
    for (const start of grainsOf(block, this.#grainSize)) {
      await this.#appendGrain((block.offset + start) / this.#grainSize, await this.#compress(block, start));
    }
  }

  async finish(): Promise<void> {
    await this.#start();
    await this.#endTable();
    await this.#appendMarker(MARKER_TYPE.directory, this.#directory.length / SECTOR);
    const directoryAt = this.#appender.position;
    await this.#appender.append(this.#directory);
    await this.#appendMarker(MARKER_TYPE.footer, 1);
    await this.#appender.append(this.#encodeHeader(BigInt(directoryAt / SECTOR)));
    await this.#appendMarker(MARKER_TYPE.endOfStream, 0);
    this.#refuseOversize();
    await this.#appender.drain();
    await this.#sink.end(this.#appender.position);
  }

  async abort(): Promise<void> {
    await this.#appender.rest();
  }

  #compress(block: Block, start: number): Promise<Uint8Array> {
    return this.#job.deflater.deflate(block, start, this.#grainSize, this.#options.level);
  }

  async #start(): Promise<void> {
    if (this.#started) return;
    this.#started = true;
    await this.#appender.append(this.#encodeHeader(DIRECTORY_IN_FOOTER));
    await this.#appender.append(
      encodeDescriptor({
        capacity: this.size / SECTOR,
        adapterType: this.#options.adapterType,
        hardwareVersion: this.#options.hardwareVersion,
        identity: this.#job.identity,
        contentId: this.#options.contentId,
        uuid: this.#options.uuid,
        ...(this.#options.toolsVersion === undefined ? {} : { toolsVersion: this.#options.toolsVersion }),
      }),
    );
    await this.#appender.align(OVERHEAD_SECTORS * SECTOR);
  }

  async #appendGrain(grain: number, stream: Uint8Array): Promise<void> {
    const tableIndex = Math.floor(grain / ENTRIES_PER_TABLE);
    if (tableIndex !== this.#tableIndex) {
      await this.#endTable();
      this.#tableIndex = tableIndex;
    }
    this.#refuseOversize();
    this.#table.writeUInt32LE(this.#appender.position / SECTOR, (grain % ENTRIES_PER_TABLE) * 4);
    const marker = Buffer.alloc(MARKER.grainHeaderSize);
    marker.writeBigUInt64LE(BigInt((grain * this.#grainSize) / SECTOR), MARKER.value);
    marker.writeUInt32LE(stream.length, MARKER.length);
    await this.#appender.append(marker);
    await this.#appender.append(stream);
    await this.#appender.align(SECTOR);
    this.#grains++;
  }

  /** Writes the table in memory behind its grains, and clears it for the next. */
  async #endTable(): Promise<void> {
    if (this.#tableIndex < 0) return;
    await this.#appendMarker(MARKER_TYPE.table, TABLE_SECTORS);
    this.#refuseOversize();
    this.#directory.writeUInt32LE(this.#appender.position / SECTOR, this.#tableIndex * 4);
    await this.#appender.append(this.#table);
    this.#table.fill(0);
  }

  async #appendMarker(type: number, sectors: number): Promise<void> {
    const marker = Buffer.alloc(SECTOR);
    marker.writeBigUInt64LE(BigInt(sectors), MARKER.value);
    marker.writeUInt32LE(type, MARKER.type);
    await this.#appender.append(marker);
  }

  #encodeHeader(directory: bigint): Buffer {
    const header = Buffer.alloc(HEADER.size);
    header.writeUInt32LE(MAGIC, HEADER.magic);
    header.writeUInt32LE(STREAM_VERSION, HEADER.version);
    header.writeUInt32LE(FLAG.newlinesValid | FLAG.compressed | FLAG.markers, HEADER.flags);
    header.writeBigUInt64LE(BigInt(this.size / SECTOR), HEADER.capacity);
    header.writeBigUInt64LE(BigInt(this.#grainSize / SECTOR), HEADER.grainSize);
    header.writeBigUInt64LE(1n, HEADER.descriptorOffset);
    header.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), HEADER.descriptorSize);
    header.writeUInt32LE(ENTRIES_PER_TABLE, HEADER.entriesPerTable);
    header.writeBigUInt64LE(directory, HEADER.directory);
    header.writeBigUInt64LE(BigInt(OVERHEAD_SECTORS), HEADER.overhead);
    header.writeUInt32LE(NEWLINES, HEADER.newlines);
    header.writeUInt16LE(COMPRESSION_DEFLATE, HEADER.compression);
    return header;
  }

  #refuseOversize(): void {
    refuseOversize(this.#appender.position, 'compressed data');
  }
}

/** Positions, within a block, of the grains that hold data. */
function* grainsOf(block: Block, grainSize: number): Generator<number> {
  for (const { offset, length } of block.runs(grainSize)) {
    for (let start = offset; start < offset + length; start += grainSize) yield start;
  }
}
