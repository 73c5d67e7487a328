import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExternalFile } from '@polyvisor/core';
import type { DocumentPath } from './document.js';
import { credentialsIn } from './credentials.js';
import { show } from './fields.js';
import { resolveInput } from './paths.js';
import type { SourceContext } from './source-context.js';

interface Entry {
  readonly from: string | readonly string[];
  readonly checksum: string;
}

const HOW_TO_CHECK =
  'write sha256: or sha512: and the digits that its publisher gives, or none to have nothing checked';

/**
 * An image that a definition names. It may come from a stranger, and what is in the image ends up in a guest: so a path reaches
 * beyond the definition's folder only where the user named it by a variable, or where a checksum proves that the author of the
 * definition knows the content already.
 */
export async function externalFile(
  entry: Entry,
  path: DocumentPath,
  context: SourceContext,
): Promise<ExternalFile | undefined> {
  const { from } = entry;
  const list = typeof from === 'string' ? [from] : from;
  const places = list.flatMap((text, index) =>
    text === '' ? [] : [{ text, path: typeof from === 'string' ? [...path, 'from'] : [...path, 'from', index] }],
  );
  const checksum = readChecksum(entry.checksum, places.length === 0);
  if ('problem' in checksum) context.report([...path, 'checksum'], checksum.problem, checksum.hint);
  // Which paths are in reach depends on it, so nothing sure can be said about them.
  if ('problem' in checksum) return undefined;
  const locations: string[] = [];
  for (const place of places) {
    const found = await locate(place.text, place.path, checksum.value !== 'none', places.length === 1, context);
    if (found !== undefined) locations.push(found);
  }
  return locations.length === places.length ? { locations, checksum: checksum.value } : undefined;
}

/** An absolute path or an address; undefined when it cannot be used, which has been reported then. */
async function locate(
  text: string,
  place: DocumentPath,
  verified: boolean,
  single: boolean,
  context: SourceContext,
): Promise<string | undefined> {
  const scheme = /^([a-z][a-z0-9+.-]*):(?:\/\/|(?<=^file:))/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'http' || scheme === 'https') {
    if (!URL.canParse(text) || /\s/.test(text)) {
      context.report(place, `${show(text)} is not an address`);
      return undefined;
    }
    for (const credential of credentialsIn(text)) context.hide(credential);
    return text;
  }
  if (scheme !== undefined && scheme !== 'file') {
    context.report(place, `${show(text)} cannot be fetched: ${scheme} is none of http, https, file`);
    return undefined;
  }
  const given = context.givenAt(place);
  // What the user typed counts from where the command runs, what the definition says from its folder.
  const base = given === undefined ? context.folder : context.currentFolder;
  const path = pathOf(text, base);
  const root = given === undefined ? undefined : pathOf(given, base);
  if (path === undefined) {
    context.report(
      place,
      `${show(text)} is not the address of a file on this machine`,
      'write such as file:///srv/disk.img',
    );
    return undefined;
  }
  const input = await resolveInput(text, context.folder, root === undefined ? [] : [root], path);
  if ('path' in input) {
    if (input.kind === 'file') return input.path;
    context.report(place, `${JSON.stringify(text)} is a directory; a file is needed`);
    return undefined;
  }
  if (input.reason === 'outside') {
    if (verified) return path;
    context.report(
      place,
      `${JSON.stringify(text)} is outside of the definition's folder, and no checksum says what it has to be`,
      'give its sha256, move it into the folder, or name it by a variable that you set: from: ${image}, with --var image=/path',
    );
    return undefined;
  }
  // Elsewhere it may be there; which source is used in the end is found out by the build.
  if (input.reason === 'missing' && !(single && context.alone)) return path;
  context.report(place, input.problem, input.hint);
  return undefined;
}

function pathOf(text: string, base: string): string | undefined {
  if (!/^file:/i.test(text)) return isAbsolute(text) ? resolve(text) : resolve(base, text);
  try {
    return fileURLToPath(text);
  } catch {
    return undefined;
  }
}

const LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

/** `none`, or the name of a hash and digits in small letters. */
function readChecksum(
  text: string,
  unneeded: boolean,
): { readonly value: string } | { readonly problem: string; readonly hint: string } {
  const value = text.trim().toLowerCase();
  if (value === 'none' || (value === '' && unneeded)) return { value: 'none' };
  const [, kind = '', digits = ''] = /^([a-z0-9-]+):([0-9a-f]*)$/.exec(value) ?? [];
  if (LENGTHS[kind] === digits.length && digits !== '') return { value };
  return { problem: checksumProblem(value, kind, digits), hint: HOW_TO_CHECK };
}

function checksumProblem(value: string, kind: string, digits: string): string {
  if (value === '') return 'the image has no checksum';
  if (kind === 'md5' || kind === 'sha1') return `${kind} can be forged and is not accepted`;
  const bare = /^[0-9a-f]+$/.test(value)
    ? Object.keys(LENGTHS).find((each) => LENGTHS[each] === value.length)
    : undefined;
  if (bare !== undefined) return `${show(value)} does not say what it is; write ${bare}:${value.slice(0, 8)}…`;
  const length = LENGTHS[kind];
  if (length !== undefined) return `${kind} has ${length} hexadecimal digits, not ${digits.length}`;
  return `${show(value)} is not a checksum`;
}
