import type { ByteSource } from '@polyvisor/core';

export async function readAt(file: ByteSource, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await file.read(bytes, offset);
  return bytes;
}

/** Text of a file as it may be shown: nothing in it can drive a terminal. */
export function printable(text: string): string {
  return JSON.stringify(text.replaceAll(/\p{C}/gu, '?'));
}
