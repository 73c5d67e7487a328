import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { EnvironmentError } from '@polyvisor/core';

type Codec = (bytes: Uint8Array, options: object) => Promise<Uint8Array>;

/** Node has zstd since 22.15 and 23.8; its types do not say so under Node 20. */
const functions = zlib as unknown as Readonly<Record<string, Parameters<typeof promisify>[0] | undefined>>;

function codec(name: 'zstdCompress' | 'zstdDecompress'): Codec {
  const found = functions[name];
  if (found !== undefined) return promisify(found) as unknown as Codec;
  throw new EnvironmentError('zstd-missing', `zstd needs Node 22.15 or newer, this is ${process.version}`, {
    hint: 'use compression=zlib, or run polyvisor with a newer Node',
  });
}

export const zstdAvailable = functions['zstdCompress'] !== undefined;

export function zstdCompressor(): (bytes: Uint8Array) => Promise<Uint8Array> {
  const compress = codec('zstdCompress');
  return (bytes) => compress(bytes, {});
}

/** Decompresses one cluster from a span that may go on behind its frame. */
export function zstdDecompressor(): (bytes: Uint8Array, clusterSize: number) => Promise<Uint8Array> {
  const decompress = codec('zstdDecompress');
  return (bytes, clusterSize) => decompress(bytes, { maxOutputLength: clusterSize });
}
