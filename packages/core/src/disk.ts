/** A run of bytes that may hold data. Everything outside all extents reads as zero. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** Bytes that can be read at any position. */
export interface ByteSource {
  /** In bytes. */
  readonly size: number;
  /** Ascending, disjoint, clipped to `size`. An over-approximation of the data is allowed. */
  extents(signal?: AbortSignal): AsyncIterable<Extent>;
  /** Fills `into` completely or rejects. Safe to call concurrently. */
  read(into: Uint8Array, offset: number): Promise<void>;
}

/** Read-only view of a virtual disk, as its guest sees it. `size` is a multiple of 512. */
export interface DiskSource extends ByteSource, AsyncDisposable {}

/** A file on the host that may be an image. Whoever opened it disposes it; converters only borrow it. */
export interface ImageFile extends ByteSource, AsyncDisposable {
  /** As the user gave it; for messages. */
  readonly path: string;
  /**
   * Opens a file that this one names as a part of itself (an extent of a VMDK descriptor, a disk of an OVF). Only a plain
   * name in the same folder is taken, and only a regular file that is not a link; anything else is a `FormatError`. The
   * caller disposes it. Absent where there is no beside: a pipe, a device, a part of another file.
   */
  beside?(name: string): Promise<ImageFile>;
}

/**
 * Positional output of a writer. What is never written reads as zero. Nothing is visible under its final name
 * before the run's whole set of outputs is committed, and that is not the writer's business.
 */
export interface DiskSink {
  /** `bytes` may be reused as soon as the promise settles. Safe to call concurrently for ranges that do not overlap. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Declares the file's final length in bytes. Called once, by the writer's `finish`, after all writes settled. */
  end(size: number): Promise<void>;
}

/**
 * A part of the disk on loan: `bytes` is reused once the promise returned by `DiskWriter.write` settles.
 * `offset` is a multiple of `BLOCK_SIZE`; `bytes` is `BLOCK_SIZE` long, except at the end of the disk.
 */
export interface Block {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /**
   * The parts that are not zero, as positions within `bytes`: ascending, disjoint, cut at multiples of `unit` (a power
   * of two, at least 512 bytes) and joined where they touch. A unit that is all zero is in no run.
   */
  runs(unit: number): Iterable<Extent>;
}

/** Length of a block, in bytes. A multiple of every cluster, grain and block size that a format may ask for. */
export const BLOCK_SIZE = 2 * 1024 * 1024;

export const SECTOR_SIZE = 512;
