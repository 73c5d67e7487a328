import { DefinitionError, didYouMean } from '@polyvisor/core';
import { SECTOR } from '../iso/iso-fields.js';
import type { IsoFile } from './iso-file.js';
import { type IsoRecord, readDirectory, type ReadingRules } from './read-directory.js';
import type { Extent } from './read-volume.js';

/** Names that are kept for the message when one is not found. */
const NAMES_KEPT = 1000;
const NAMES_SHOWN = 20;

/** Directories in a path; every step reads one directory, so that loops on the image do no harm. */
const DEEPEST = 64;

/** Looks a path up, from the root. Throws `iso-path-missing` with what is there instead. */
export async function findRecord(file: IsoFile, innerPath: string, rules: ReadingRules): Promise<IsoRecord> {
  const parts = innerPath.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length === 0 || parts.length > DEEPEST || parts.includes('..'))
    throw new DefinitionError('iso-path-missing', `${JSON.stringify(innerPath)} is no path of a file on an ISO image`, {
      hint: 'write it as in `install.amd/vmlinuz`',
    });
  let place = rules.volume.root;
  for (const [n, part] of parts.entries()) {
    const found = await findInDirectory(file, place, part, rules, parts.slice(0, n));
    if (n === parts.length - 1) return found;
    if (!found.isDirectory && found.rockRidge?.movedTo === undefined)
      throw missing(file, parts.slice(0, n + 1), `${part} is no directory`, '');
    place = await directoryPlace(file, found, rules);
  }
  throw new Error('a path has at least one part');
}

/** The exact name of Rock Ridge or Joliet first; then plain names, and either case. */
async function findInDirectory(
  file: IsoFile,
  place: Extent,
  name: string,
  rules: ReadingRules,
  parents: readonly string[],
): Promise<IsoRecord> {
  const names: string[] = [];
  let near: IsoRecord | undefined;
  for await (const record of readDirectory(file, place, rules)) {
    if (record.rockRidge?.moved === true) continue;
    const own = record.rockRidge?.name ?? record.plainName;
    if (own === name) return record;
    if ([own, record.plainName].some((each) => each.toLowerCase() === name.toLowerCase())) near ??= record;
    if (names.length < NAMES_KEPT) names.push(own);
  }
  if (near !== undefined) return near;
  throw missing(file, [...parents, name], `there is no ${name}${didYouMean(name, names)}`, listed(names));
}

/** Where the records of a directory are; of one that was moved, its own first record says how long it is. */
async function directoryPlace(file: IsoFile, record: IsoRecord, { volume }: ReadingRules): Promise<Extent> {
  const { movedTo } = record.rockRidge ?? {};
  if (movedTo === undefined) return record.extents[0] ?? { offset: 0, length: 0 };
  const offset = movedTo * volume.block;
  const own = await file.read(offset, 34, 'a directory');
  return { offset, length: Math.max(SECTOR, own.readUInt32LE(10)) };
}

function missing(file: IsoFile, path: readonly string[], why: string, names: string): DefinitionError {
  return new DefinitionError('iso-path-missing', `${file.path} does not have ${path.join('/')}: ${why}`, {
    hint: names === '' ? 'see what is on the image, and correct the path' : `its directory has: ${names}`,
  });
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).map((name) => JSON.stringify(name.slice(0, 80)));
  return names.length > NAMES_SHOWN ? `${shown.join(', ')}, …` : shown.join(', ');
}
