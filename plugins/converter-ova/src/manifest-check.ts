import type { Finding } from '@polyvisor/core';
import { CONSUMERS, error, ESXI, NOBODY, quoted, warning } from './finding.js';
import { digestOf, type ManifestEntry, manifestEntry, manifestLines } from './manifest.js';
import type { PackageFile } from './package.js';

/** What ESXi takes, to the letter. */
const STRICT = /^[A-Z0-9]+\(.+\)= [0-9a-fA-F]+$/;

/** Lines of a manifest beyond which it is taken for something else. */
const MAX_LINES = 1000;

/** `find` gives the files of the package; `files` are those that a manifest should list. */
export async function* manifestFindings(
  text: string,
  find: (name: string) => Promise<PackageFile | undefined>,
  files: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const lines = manifestLines(text);
  if (lines.length > MAX_LINES) {
    yield error('ovf-manifest-syntax', CONSUMERS, 'the manifest is far too long', { found: `${lines.length} lines` });
    return;
  }
  const listed = new Set<string>();
  for (const line of lines) {
    const entry = manifestEntry(line);
    if (entry === undefined) {
      const hint = 'OpenSSL 3 writes SHA2-256, BSD a space before the bracket; write it as expected';
      const details = { expected: 'SHA256(file)= digest', found: quoted(line), hint };
      yield error('ovf-manifest-syntax', ESXI, 'a line of the manifest is of no known kind', details);
      continue;
    }
    if (!STRICT.test(line)) {
      const details = { expected: `${entry.algorithm.toUpperCase()}(${entry.name})= …`, found: quoted(line) };
      yield warning('ovf-manifest-spacing', ESXI, 'a line of the manifest has other spaces than ESXi takes', details);
    }
    if (listed.has(entry.name)) {
      const message = 'the manifest lists a file twice';
      yield error('ovf-manifest-twice', CONSUMERS, message, { found: quoted(entry.name) });
    }
    listed.add(entry.name);
    yield* entryFindings(entry, find, signal);
  }
  const missing = files.filter((name) => !listed.has(name));
  if (missing.length > 0) {
    const found = `nothing for ${missing.map(quoted).join(', ')}`;
    yield warning('ovf-manifest-incomplete', NOBODY, 'the manifest does not list every file', { found });
  }
}

async function* entryFindings(
  entry: ManifestEntry,
  find: (name: string) => Promise<PackageFile | undefined>,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  let file: PackageFile | undefined;
  try {
    file = await find(entry.name);
  } catch {
    file = undefined; // a path, a link: refused, so not there
  }
  if (file === undefined) {
    yield error('ovf-manifest-foreign', CONSUMERS, 'the manifest lists a file that is not there', {
      found: quoted(entry.name),
    });
    return;
  }
  const digest = await digestOf(file, entry.algorithm, signal);
  if (digest === entry.digest) return;
  yield error('ovf-manifest-digest', CONSUMERS, `${quoted(file.name)} is not what the manifest says`, {
    offset: file.offset,
    expected: `${entry.algorithm} ${entry.digest}`,
    found: digest,
    hint: 'the file was damaged or changed after the manifest was made; nothing here can tell which of the two is right',
  });
}
