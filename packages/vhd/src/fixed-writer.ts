import type { Block, DiskSink, DiskWriter } from '@polyvisor/core';
import { encodeFooter, type Stamp } from './footer.js';
import { pieces, settleAll, writeZeros } from './pieces.js';

export interface VhdTarget {
  readonly sink: DiskSink;
  /** Of the virtual disk, in bytes; a multiple of 512. */
  readonly size: number;
  readonly stamp: Stamp;
  /** Leave what is zero unwritten, as holes of the file. Otherwise every byte of the file is written. */
  readonly sparse: boolean;
  readonly signal: AbortSignal;
}

/** Unit in which zeros are skipped, in bytes: the page of most file systems. */
const UNIT = 4096;

/** The disk's bytes as they are, then the footer: the one kind of VHD that is written from front to back. */
export function createFixedVhd({ sink, size, stamp, sparse, signal }: VhdTarget): DiskWriter {
  let written = 0; // up to here every byte has been written, when nothing may stay a hole
  return {
    size,
    order: 'append',
    write: async (block: Block) => {
      const { offset, bytes } = block;
      if (!sparse) await writeZeros(sink, written, offset, signal);
      const parts = sparse ? block.runs(UNIT) : [{ offset: 0, length: bytes.length }];
      const writes: Promise<void>[] = [];
      for (const part of parts) {
        for (const piece of pieces(part.offset, part.length)) {
          writes.push(sink.write(bytes.subarray(piece.offset, piece.offset + piece.length), offset + piece.offset));
        }
      }
      await settleAll(writes);
      written = offset + bytes.length;
    },
    finish: async () => {
      if (!sparse) await writeZeros(sink, written, size, signal);
      const footer = encodeFooter(stamp, size);
      await sink.write(footer, size);
      await sink.end(size + footer.length);
    },
    abort: () => Promise.resolve(),
  };
}
