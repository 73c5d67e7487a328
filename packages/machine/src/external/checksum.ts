import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { DefinitionError, didYouMean, ioError } from '@polyvisor/core';

/** What a file's bytes have to give. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'sha512';
  /** In small letters. */
  readonly hex: string;
}

const DIGITS = { sha256: 64, sha512: 128 } as const;

const PIECE = 1024 ** 2;

/** Reads `sha256:…` and `sha512:…`; undefined for `none`, which has to be written. Throws `checksum-invalid`. */
export function parseChecksum(text: string): Checksum | undefined {
  if (text === 'none') return undefined;
  const [, algorithm = '', hex = ''] = /^([^:]*):(.*)$/s.exec(text) ?? ['', text];
  if (algorithm !== 'sha256' && algorithm !== 'sha512')
    throw new DefinitionError(
      'checksum-invalid',
      `${JSON.stringify(text.slice(0, 160))} is no checksum${didYouMean(algorithm, Object.keys(DIGITS))}`,
      { hint: 'write `sha256:` or `sha512:` and the digits that the publisher gives; or `none` to check nothing' },
    );
  if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length !== DIGITS[algorithm])
    throw new DefinitionError(
      'checksum-invalid',
      `a checksum of ${algorithm} has ${DIGITS[algorithm]} hexadecimal digits, not ${JSON.stringify(hex.slice(0, 130))} (${hex.length} characters)`,
      { hint: 'copy the whole line that the publisher gives for the file' },
    );
  return { algorithm, hex: hex.toLowerCase() };
}

export function formatChecksum({ algorithm, hex }: Checksum): string {
  return `${algorithm}:${hex}`;
}

/** The checksum of a file. Reads it once, a piece at a time. */
export async function checksumOf(
  path: string,
  algorithm: Checksum['algorithm'],
  signal: AbortSignal,
): Promise<Checksum> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw ioError(error, `cannot read ${path}`);
  });
  try {
    const hash = createHash(algorithm);
    const buffer = Buffer.allocUnsafe(PIECE);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, PIECE, null);
      if (bytesRead === 0) return { algorithm, hex: hash.digest('hex') };
      hash.update(buffer.subarray(0, bytesRead));
    }
  } catch (error) {
    throw ioError(error, `cannot read ${path}`);
  } finally {
    await handle.close();
  }
}
