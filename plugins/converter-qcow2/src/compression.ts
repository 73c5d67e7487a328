import { type Block, type Deflater, padded, rawStream, zstdCompress } from '@polyvisor/core';

/** Compresses one cluster of a block from `start`, zero-padded at the end of the disk. Asked twice, it does the work once. */
export type Compress = (block: Block, start: number) => Promise<Uint8Array>;

/** Effort where the user gave none: what is quick and not much larger than the best. */
const ZLIB_LEVEL = 4;
const ZSTD_LEVEL = 3;

export function createCompress(
  method: 'none' | 'zlib' | 'zstd',
  level: number | undefined,
  clusterSize: number,
  deflater: Deflater,
): Compress | undefined {
  if (method === 'none') return undefined;
  if (method === 'zlib') {
    return async (block, start) => rawStream(await deflater.deflate(block, start, clusterSize, level ?? ZLIB_LEVEL));
  }
  // Keyed by the block object, so that results go away with the block.
  const started = new WeakMap<Block, Map<number, Promise<Uint8Array>>>();
  return (block, start) => {
    let parts = started.get(block);
    if (parts === undefined) started.set(block, (parts = new Map()));
    let result = parts.get(start);
    if (result === undefined) {
      result = zstdCompress(padded(block.bytes, start, clusterSize), level ?? ZSTD_LEVEL);
      parts.set(start, result);
    }
    return result;
  };
}
