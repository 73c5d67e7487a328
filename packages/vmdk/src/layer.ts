import type { Extent } from '@polyvisor/core';

/** Fills `into` with what lies under a layer at `offset`, a position of the layer: a parent's data, or zeros. */
export type Below = (into: Uint8Array, offset: number) => Promise<void>;

/** A part of a disk, as one extent stores it: its own data, and gaps through which something else may be seen. */
export interface Layer {
  /** In bytes. */
  readonly size: number;
  /** What the layer itself stores: ascending, disjoint, clipped to `size`. */
  extents(signal?: AbortSignal): AsyncIterable<Extent>;
  /** Fills `into` completely or rejects, calling `below` for what is not stored. Safe to call concurrently. */
  read(into: Uint8Array, offset: number, below: Below): Promise<void>;
}
