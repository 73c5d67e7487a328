import { readdir, stat } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { DefinitionError, didYouMean } from '@polyvisor/core';

/** Name of the document in a definition's folder. */
export const DEFINITION_FILE = 'definition.yaml';

export interface FoundDefinition {
  /** Absolute path of the document. */
  readonly path: string;
  /** For messages: relative to the current folder where that is shorter. */
  readonly file: string;
}

/**
 * Finds a definition by the path of its document, by its folder, or by its name in one of the folders that hold definitions;
 * the first that has it wins. What looks like a path (`./x`, `a/b`, `x.yaml`) is never taken for a name.
 */
export async function findDefinition(
  argument: string,
  searchFolders: readonly string[] = [],
): Promise<FoundDefinition> {
  if (argument === '' || argument.includes('\0'))
    throw new DefinitionError('definition-not-found', 'the name of the definition is empty or no name');
  const looksLikePath =
    argument.includes('/') || argument.includes(sep) || argument.startsWith('.') || /\.ya?ml$/i.test(argument);
  const candidates = looksLikePath ? [argument] : [...searchFolders.map((folder) => join(folder, argument)), argument];
  for (const candidate of candidates) {
    const facts = await stat(candidate).catch(() => undefined);
    if (facts?.isFile() === true) return found(candidate);
    const inside = join(candidate, DEFINITION_FILE);
    if (facts?.isDirectory() === true && (await isFile(inside))) return found(inside);
  }
  const known = await listDefinitions(searchFolders);
  const guess = didYouMean(
    basename(argument),
    known.map((each) => each.name),
  );
  throw new DefinitionError('definition-not-found', `no definition ${JSON.stringify(argument)}${guess}`, {
    hint: [
      `looked for ${candidates.map((candidate) => join(candidate, DEFINITION_FILE)).join(', ')}`,
      known.length > 0
        ? `known: ${known.map((each) => each.name).join(', ')}`
        : `\`polyvisor define ${basename(argument)}\` writes a new one`,
    ].join('; '),
  });
}

/** The definitions in some folders, by name; of two with one name that in the earlier folder. */
export async function listDefinitions(
  searchFolders: readonly string[],
): Promise<{ readonly name: string; readonly path: string }[]> {
  const all = new Map<string, string>();
  for (const folder of searchFolders) {
    for (const entry of await readdir(folder).catch(() => [])) {
      const path = resolve(folder, entry, DEFINITION_FILE);
      if (!all.has(entry) && (await isFile(path))) all.set(entry, path);
    }
  }
  return [...all].map(([name, path]) => ({ name, path })).sort((left, right) => (left.name < right.name ? -1 : 1));
}

/** A path for messages: as the user would write it from here. */
export function showFile(path: string): string {
  const way = relative(process.cwd(), path);
  return way === '' || way.startsWith(`..${sep}`) ? path : way;
}

function found(path: string): FoundDefinition {
  const absolute = resolve(path);
  return { path: absolute, file: showFile(absolute) };
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
