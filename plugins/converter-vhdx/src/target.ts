import type { DiskSink } from '@polyvisor/core';
import { BatWriter } from './bat-writer.js';
import { type DiskFacts, encodeMetadata, type FileFacts } from './encode.js';
import { chunkRatioOf } from './layout.js';
import { writeZeros } from './zeros.js';

/** Smallest run of zeros that is left out, in bytes: the page of most file systems. */
export const UNIT = 4096;

export interface VhdxTarget {
  readonly sink: DiskSink;
  readonly disk: DiskFacts;
  readonly file: FileFacts;
  /** Leave what is zero unwritten, as holes of the file. Otherwise every byte of the file is written. */
  readonly sparse: boolean;
  readonly signal: AbortSignal;
}

/** A writer for the BAT of a target; see `BatWriter` for `everyPage`. */
export function batOf({ sink, disk, file }: VhdxTarget, everyPage: boolean): BatWriter {
  const chunkRatio = chunkRatioOf(disk.blockSize, disk.logicalSector);
  return new BatWriter(sink, file.bat.offset, file.bat.length, chunkRatio, everyPage);
}

/** The log, which is empty, and the metadata behind it. */
export async function writeMetadata({ sink, disk, file, sparse, signal }: VhdxTarget): Promise<void> {
  const metadata = encodeMetadata(disk);
  if (!sparse) await writeZeros(sink, file.log.offset, file.log.offset + file.log.length, signal);
  await sink.write(metadata, file.metadata.offset);
  if (!sparse) {
    const { offset, length } = file.metadata;
    await writeZeros(sink, offset + metadata.length, offset + length, signal);
  }
}
