import { digest, FormatError } from '@polyvisor/core';
import type { PackageFile } from './package.js';

const ALGORITHMS = ['sha1', 'sha256', 'sha512'] as const;
export type ManifestAlgorithm = (typeof ALGORITHMS)[number];

/** No space before the bracket and one behind the equals sign: ESXi takes nothing else. */
export function manifestLine(algorithm: ManifestAlgorithm, name: string, hex: string): string {
  return `${algorithm.toUpperCase()}(${name})= ${hex}\n`;
}

export interface ManifestEntry {
  readonly algorithm: ManifestAlgorithm;
  /** Of the file that the digest is of. */
  readonly name: string;
  /** Lower-case hexadecimal digits. */
  readonly digest: string;
}

const LINE = /^([A-Za-z0-9-]+) ?\((.+)\) ?= ?([0-9A-Fa-f]+)$/;
const HEX_DIGITS: Readonly<Record<ManifestAlgorithm, number>> = { sha1: 40, sha256: 64, sha512: 128 };

/** The lines of a manifest that say something, in order. */
export function manifestLines(content: string): readonly string[] {
  return content.split(/\r?\n/).filter((line) => line.trim() !== '');
}

/** One line as an entry, or undefined when it is none that we read. */
export function manifestEntry(line: string): ManifestEntry | undefined {
  const [, word = '', name = '', hex = ''] = LINE.exec(line) ?? [];
  const algorithm = ALGORITHMS.find((known) => known === word.toLowerCase());
  if (algorithm === undefined || hex.length !== HEX_DIGITS[algorithm]) return undefined;
  return { algorithm, name, digest: hex.toLowerCase() };
}

/** Reads a manifest: each file once, with a digest that we know. */
export function readManifest(path: string, content: string): readonly ManifestEntry[] {
  const listed = new Set<string>();
  return manifestLines(content).map((line) => {
    const entry = manifestEntry(line);
    if (entry === undefined) {
      throw manifestInvalid(
        path,
        `the manifest has a line that is not "SHA256(file)= digest" (or SHA1, SHA512): ${JSON.stringify(line.slice(0, 100))}`,
      );
    }
    if (listed.has(entry.name)) throw manifestInvalid(path, `the manifest lists ${JSON.stringify(entry.name)} twice`);
    listed.add(entry.name);
    return entry;
  });
}

/** Hashes a file and refuses it when its digest is not the manifest's. */
export async function verifyEntry(
  path: string,
  file: PackageFile,
  { algorithm, digest: expected }: ManifestEntry,
  signal?: AbortSignal,
): Promise<void> {
  const found = await digestOf(file, algorithm, signal);
  if (found === expected) return;
  throw new FormatError('ova-digest-mismatch', `${file.name} is not what the manifest says`, {
    file: path,
    offset: file.offset,
    expected: `${algorithm} ${expected}`,
    found,
    hint: 'the file was damaged or changed after it was made',
  });
}

export async function digestOf(file: PackageFile, algorithm: ManifestAlgorithm, signal?: AbortSignal): Promise<string> {
  await using opened = await file.open();
  return await digest(opened, algorithm, signal);
}

export function manifestInvalid(file: string, what: string): FormatError {
  return new FormatError('ova-manifest-invalid', what, { file });
}
