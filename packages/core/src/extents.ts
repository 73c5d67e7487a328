import type { Extent } from './disk.js';

/** The extents of something that may be longer, up to `size`: those of a parent, or of a file behind whose disk more follows. */
export async function* clipExtents(extents: AsyncIterable<Extent>, size: number): AsyncGenerator<Extent> {
  for await (const { offset, length } of extents) {
    if (offset >= size) return;
    yield { offset, length: Math.min(length, size - offset) };
  }
}

/** Merges two ascending lists of extents into one: what either of two disks may hold, such as a child and its parent. */
export async function* unionExtents(
  first: AsyncIterable<Extent>,
  second: AsyncIterable<Extent>,
): AsyncGenerator<Extent> {
  const iterators = [first[Symbol.asyncIterator](), second[Symbol.asyncIterator]()] as const;
  const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
  let current: { offset: number; end: number } | undefined;
  for (;;) {
    const [x, y] = heads as [IteratorResult<Extent>, IteratorResult<Extent>];
    if (x.done && y.done) break;
    const side: 0 | 1 = y.done || (!x.done && x.value.offset <= y.value.offset) ? 0 : 1;
    const { offset, length } = (heads[side] as IteratorYieldResult<Extent>).value;
    heads[side] = await iterators[side].next();
    if (current !== undefined && offset <= current.end) {
      current.end = Math.max(current.end, offset + length);
    } else {
      if (current !== undefined) yield { offset: current.offset, length: current.end - current.offset };
      current = { offset, end: offset + length };
    }
  }
  if (current !== undefined) yield { offset: current.offset, length: current.end - current.offset };
}
