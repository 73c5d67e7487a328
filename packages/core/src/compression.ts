import type { ByteSource } from './disk.js';

/** How whole files are compressed. */
export type Compression = 'gzip' | 'xz' | 'bzip2' | 'zstd';

/** Bytes at the start of a file that tell its compression. */
export const COMPRESSION_HEAD = 16;

/** Tells compression by the first bytes of a file: gzip, xz, bzip2 and zstd begin with marks that no disk does. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1');
  if (text.startsWith('\x1f\x8b\x08')) return 'gzip';
  if (text.startsWith('\xfd7zXZ\0')) return 'xz';
  // A block begins with the digits of π, an empty file ends with those of its root.
  if (/^BZh[1-9](1AY&SY|\x17rE8P\x90)/.test(text)) return 'bzip2';
  // pzstd begins with a frame for itself (magic 0x184D2A50) of four bytes.
  if (text.startsWith('\x28\xb5\x2f\xfd') || text.slice(0, 12).endsWith('\x28\xb5\x2f\xfd')) {
    return text.startsWith('\x28\xb5\x2f\xfd') || /^[\x50-\x5f]\x2a\x4d\x18\x04\0\0\0/.test(text) ? 'zstd' : undefined;
  }
  return undefined;
}

/** The compression of a file that can be read at any position. */
export async function compressionOfFile(file: ByteSource): Promise<Compression | undefined> {
  const head = new Uint8Array(Math.min(COMPRESSION_HEAD, file.size));
  await file.read(head, 0);
  return compressionOf(head);
}
