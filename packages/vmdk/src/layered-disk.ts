import { clipExtents, type DiskSource, type Extent, readPadded, unionExtents } from '@polyvisor/core';
import type { Layer } from './layer.js';

/** A layer and where it begins on the disk, in bytes. */
export interface Segment {
  readonly start: number;
  readonly layer: Layer;
}

/**
 * Layers one behind the other as a disk, over a parent where there is one. `segments` ascend without gaps. Owns what `close`
 * closes; borrows the parent, behind whose end there are zeros.
 */
export function layeredDisk(
  segments: readonly Segment[],
  parent: DiskSource | undefined,
  close: () => Promise<void>,
): DiskSource {
  const last = segments.at(-1);
  const size = last === undefined ? 0 : last.start + last.layer.size;
  const below = async (into: Uint8Array, offset: number): Promise<void> => {
    if (parent === undefined) into.fill(0);
    else await readPadded(parent, into, offset);
  };
  async function* own(signal?: AbortSignal): AsyncGenerator<Extent> {
    for (const { start, layer } of segments) {
      signal?.throwIfAborted();
      for await (const { offset, length } of layer.extents(signal)) yield { offset: start + offset, length };
    }
  }
  return {
    size,
    extents: (signal) =>
      parent === undefined ? own(signal) : unionExtents(own(signal), clipExtents(parent.extents(signal), size)),
    read: async (into, offset) => {
      if (offset < 0 || offset + into.length > size)
        throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${size}`);
      const end = offset + into.length;
      for (let index = segmentAt(segments, offset), at = offset; at < end; index++) {
        const segment = segments[index];
        if (segment === undefined) throw new RangeError(`no extent at ${at}`);
        const { start, layer } = segment;
        const stop = Math.min(end, start + layer.size);
        await layer.read(into.subarray(at - offset, stop - offset), at - start, (part, position) =>
          below(part, start + position),
        );
        at = stop;
      }
    },
    [Symbol.asyncDispose]: close,
  };
}

/** Which segment holds the byte at `offset`, by bisection. */
function segmentAt(segments: readonly Segment[], offset: number): number {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((segments[middle]?.start ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
