import { FormatError, type Extent, type ImageFile } from '@polyvisor/core';
import { readCompressedGrain } from './compressed-grain.js';
import type { SparseHeader } from './header-reader.js';
import type { Layer } from './layer.js';
import { GRAIN_ABSENT, GRAIN_ZERO, SECTOR } from './layout.js';
import { damaged } from './refusal.js';
import { readDirectory, type TableMemory, type Tables } from './table-reader.js';

/** Pieces of a `read` that are worked on at the same time. */
const PARALLEL = 16;

/** A stretch of the disk that is read in one go. Positions and lengths in bytes. */
interface Piece {
  readonly kind: 'absent' | 'zero' | 'stored';
  readonly start: number;
  length: number;
  /** Of the data or, when it is compressed, of its marker in the file. */
  readonly offset: number;
  readonly table: Uint32Array | undefined;
}

export interface SparseLayer extends Layer {
  readonly warnings: readonly string[];
}

/**
 * Opens what a sparse extent stores. When its directory cannot be used, the copy is taken instead, and told. Memory: 4 bytes a
 * table, and what `memory` keeps.
 */
export async function openSparseLayer(
  file: ImageFile,
  header: SparseHeader,
  memory: TableMemory,
): Promise<SparseLayer> {
  const warnings = header.unclean ? [`${file.path} was not closed cleanly by the program that wrote it last`] : [];
  let tables: Tables;
  try {
    tables = await readDirectory(file, header, header.directory, memory);
  } catch (error) {
    if (!(error instanceof FormatError) || header.redundantDirectory === undefined) throw error;
    // When the copy is no better, the first failure is the one to tell.
    tables = await readDirectory(file, header, header.redundantDirectory, memory).catch(() => {
      throw error;
    });
    warnings.push(`${error.message}; its copy is used instead`);
  }
  return { ...sparseLayer(file, header, tables), warnings };
}

function sparseLayer(file: ImageFile, header: SparseHeader, tables: Tables): Layer {
  const { capacity, grainSectors, reserved, entriesPerTable, compressed } = header;
  const size = capacity * SECTOR;
  const grainSize = grainSectors * SECTOR;
  const coverage = entriesPerTable * grainSize;

  /** Cuts a stretch of the disk where the tables say that something else begins. */
  async function* piecesOf(offset: number, end: number): AsyncGenerator<Piece> {
    let current: Piece | undefined;
    for (let at = offset; at < end;) {
      const index = Math.floor(at / coverage);
      const table = await tables.table(index);
      const tableEnd = Math.min(end, (index + 1) * coverage);
      for (; at < tableEnd;) {
        const entry = Math.floor((at - index * coverage) / grainSize);
        const grainStart = index * coverage + entry * grainSize;
        const stop = table === undefined ? tableEnd : Math.min(end, grainStart + grainSize);
        const sector = table?.[entry] ?? GRAIN_ABSENT;
        const kind = sector === GRAIN_ABSENT ? 'absent' : sector === GRAIN_ZERO ? 'zero' : 'stored';
        const place = kind === 'stored' ? sector * SECTOR + (compressed ? 0 : at - grainStart) : 0;
        if (kind === 'stored') checkPlace(grainStart, sector, compressed ? 1 : stop - grainStart);
        const joins =
          current?.kind === kind && (kind !== 'stored' || (!compressed && current.offset + current.length === place));
        if (joins && current !== undefined) {
          current.length += stop - at;
        } else {
          if (current !== undefined) yield current;
          current = { kind, start: at, length: stop - at, offset: place, table };
        }
        at = stop;
      }
    }
    if (current !== undefined) yield current;
  }

  const checkPlace = (grainStart: number, sector: number, wanted: number) => {
    if (sector >= reserved && sector * SECTOR + wanted <= file.size) return;
    throw damaged(file, `grain ${grainStart / grainSize} lies outside the file or over the descriptor`, {
      offset: sector * SECTOR,
      found: `a file of ${file.size} bytes`,
    });
  };

  const readPiece = async (
    piece: Piece,
    into: Uint8Array,
    below: (into: Uint8Array, offset: number) => Promise<void>,
  ) => {
    if (piece.kind === 'zero') into.fill(0);
    else if (piece.kind === 'absent') await below(into, piece.start);
    else if (!compressed) await file.read(into, piece.offset);
    else {
      const grain = Math.floor(piece.start / grainSize);
      const table = piece.table ?? new Uint32Array();
      const plain = await readCompressedGrain(file, { grain, table, index: grain % entriesPerTable, header });
      into.set(plain.subarray(piece.start % grainSize, (piece.start % grainSize) + into.length));
    }
  };

  return {
    size,
    async *extents(signal): AsyncGenerator<Extent> {
      for (let index = 0; index < tables.count; index++) {
        signal?.throwIfAborted();
        const table = await tables.table(index);
        if (table !== undefined) yield* runsOf(table, index * entriesPerTable, grainSize, size);
      }
    },
    read: async (into, offset, below) => {
      if (offset < 0 || offset + into.length > size)
        throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${size}`);
      let going: Promise<void>[] = [];
      for await (const piece of settling(piecesOf(offset, offset + into.length), () => going)) {
        going.push(readPiece(piece, into.subarray(piece.start - offset, piece.start - offset + piece.length), below));
        if (going.length < PARALLEL) continue;
        await settle(going);
        going = [];
      }
      await settle(going);
    },
  };
}

/** Passes pieces on; when finding them fails, waits first for the reads that write into the caller's buffer. */
async function* settling<Item>(items: AsyncIterable<Item>, going: () => Promise<void>[]): AsyncGenerator<Item> {
  try {
    yield* items;
  } catch (error) {
    await Promise.allSettled(going());
    throw error;
  }
}

/** Waits for all, and rejects with the first failure only then: the buffer is not touched any more. */
async function settle(going: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(going);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** The grains that a table says are stored, neighbours joined, as extents of the disk. */
function* runsOf(table: Uint32Array, firstGrain: number, grainSize: number, size: number): Generator<Extent> {
  let start = -1;
  for (let index = 0; index <= table.length; index++) {
    const stored = (table[index] ?? 0) > GRAIN_ZERO && (firstGrain + index) * grainSize < size;
    if (stored === start >= 0) continue;
    if (stored) {
      start = index;
      continue;
    }
    const offset = (firstGrain + start) * grainSize;
    yield { offset, length: Math.min((firstGrain + index) * grainSize, size) - offset };
    start = -1;
  }
}
