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
  if (/^BZh[1-9]/.test(text) && ['1AY&SY', '\x17rE8P\x90'].includes(text.slice(4, 10))) return 'bzip2';
  // pzstd begins with a frame for itself, to be skipped (magic 0x184D2A50 to 5F), of four bytes.
  const framed = /^[P-_]/.test(text) && text.slice(1, 8) === '*M\x18\x04\0\0\0' ? text.slice(12) : text;
  return framed.startsWith('(\xb5/\xfd') ? 'zstd' : undefined;
}

/** The compression of a file that can be read at any position. */
export async function compressionOfFile(file: ByteSource): Promise<Compression | undefined> {
  const head = new Uint8Array(Math.min(COMPRESSION_HEAD, file.size));
  await file.read(head, 0);
  return compressionOf(head);
}
