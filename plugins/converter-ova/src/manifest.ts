import { digest, FormatError, type ImageFile, windowOf } from '@polyvisor/core';
import type { ArchiveMember } from './tar-reader.js';

const ALGORITHMS = ['sha1', 'sha256', 'sha512'] as const;
export type ManifestAlgorithm = (typeof ALGORITHMS)[number];

/** No space before the bracket and one behind the equals sign: ESXi takes nothing else. */
export function manifestLine(algorithm: ManifestAlgorithm, name: string, hex: string): string {
  return `${algorithm.toUpperCase()}(${name})= ${hex}\n`;
}

export interface ManifestEntry {
  readonly algorithm: ManifestAlgorithm;
  readonly member: ArchiveMember;
  /** Lower-case hexadecimal digits. */
  readonly digest: string;
}

const LINE = /^([A-Za-z0-9-]+) ?\(([^()]+)\) ?= ?([0-9A-Fa-f]+)$/;
const HEX_DIGITS: Readonly<Record<ManifestAlgorithm, number>> = { sha1: 40, sha256: 64, sha512: 128 };

/** Reads a manifest. What it lists must be in the archive, once, with a digest that we know. */
export function readManifest(
  path: string,
  content: string,
  members: readonly ArchiveMember[],
): readonly ManifestEntry[] {
  const byName = new Map(members.map((member) => [member.name, member]));
  const listed = new Set<string>();
  return content
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, word = '', name = '', hex = ''] = LINE.exec(line) ?? [];
      const algorithm = ALGORITHMS.find((known) => known === word.toLowerCase());
      if (algorithm === undefined || hex.length !== HEX_DIGITS[algorithm]) {
        throw invalid(
          path,
          `the manifest has a line that is not "SHA256(file)= digest" (or SHA1, SHA512): ${JSON.stringify(line.slice(0, 100))}`,
        );
      }
      const member = byName.get(name);
      if (member === undefined)
        throw invalid(path, `the manifest lists ${JSON.stringify(name)}, which is not in the archive`);
      if (listed.has(name)) throw invalid(path, `the manifest lists ${JSON.stringify(name)} twice`);
      listed.add(name);
      return { algorithm, member, digest: hex.toLowerCase() };
    });
}

/** Hashes a member of the archive and refuses it when its digest is not the manifest's. */
export async function verifyEntry(
  file: ImageFile,
  { algorithm, member, digest: expected }: ManifestEntry,
  signal?: AbortSignal,
): Promise<void> {
  const found = await digest(windowOf(file, member.offset, member.size), algorithm, signal);
  if (found === expected) return;
  throw new FormatError('ova-digest-mismatch', `${member.name} is not what the manifest says`, {
    file: file.path,
    offset: member.offset,
    expected: `${algorithm} ${expected}`,
    found,
    hint: 'the file was damaged or changed after it was made',
  });
}

function invalid(file: string, what: string): FormatError {
  return new FormatError('ova-manifest-invalid', what, { file });
}
