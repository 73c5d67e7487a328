import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import type { Architecture, InstallerMedium } from '@polyvisor/core';
import type { DocumentPath } from './document.js';
import { isWithin, resolveInput } from './paths.js';
import type { SourceContext } from './source-context.js';
import type { InstallerEntry } from './source-schema.js';

type Entry = NonNullable<InstallerEntry['medium']['netboot']>;
type Netboot = Extract<InstallerMedium, { readonly kind: 'netboot' }>;

/** Where Debian's packages have their installers: files that everybody may have anyway. */
const PUBLIC_FOLDER = '/usr/lib/debian-installer';

/** Far above any real directory of this kind. */
const MOST_ENTRIES = 10_000;

/** Names in Debian's layout. */
const LAYOUT: Readonly<
  Record<Architecture, { readonly folder: string; readonly bios?: string; readonly uefi: string }>
> = {
  x86_64: { folder: 'debian-installer/amd64', bios: 'pxelinux.0', uefi: 'bootnetx64.efi' },
  arm64: { folder: 'debian-installer/arm64', uefi: 'bootnetaa64.efi' },
};

/**
 * Files for starting over the network. The guest may ask for every file of the directory, so that has to be the definition's
 * own, one of a package of installers, or one that the user named; and links in it may lead nowhere else.
 */
export async function netbootMedium(
  entry: Entry,
  path: DocumentPath,
  context: SourceContext,
): Promise<Netboot | undefined> {
  const { folder: layoutFolder, bios, uefi } = LAYOUT[context.architecture];
  const at = [...path, 'directory'];
  const given = context.givenAt(at);
  const base = given === undefined ? context.folder : context.currentFolder;
  const directory = isAbsolute(entry.directory) ? resolve(entry.directory) : resolve(base, entry.directory);
  const root = given === undefined ? undefined : resolve(base, given);
  const names = {
    kernel: entry.kernel ?? `${layoutFolder}/linux`,
    initrd: entry.initrd ?? `${layoutFolder}/initrd.gz`,
  };
  const wanted = entry['boot-files'];
  const bootFiles =
    wanted === undefined
      ? { ...(bios === undefined ? {} : { bios }), uefi: `${layoutFolder}/${uefi}` }
      : {
          ...(wanted.bios === undefined ? {} : { bios: wanted.bios }),
          ...(wanted.uefi === undefined ? {} : { uefi: wanted.uefi }),
        };
  const input = await resolveInput(
    entry.directory,
    context.folder,
    [PUBLIC_FOLDER, ...(root === undefined ? [] : [root])],
    directory,
  );
  if ('problem' in input) {
    const elsewhere = isWithin(directory, PUBLIC_FOLDER) || !context.alone;
    // A package that is not installed is no mistake of the definition's.
    if (input.reason === 'missing' && elsewhere) return { kind: 'netboot', directory, ...names, bootFiles };
    const hint =
      input.reason === 'outside'
        ? `use one below ${PUBLIC_FOLDER}, move it into the folder, or name it by a variable that you set`
        : input.hint;
    context.report(at, input.problem, hint);
    return undefined;
  }
  if (input.kind !== 'directory') {
    context.report(at, `${JSON.stringify(entry.directory)} is a file; a directory is needed`);
    return undefined;
  }
  const escape = root === undefined ? await linkOutOf(input.path, [context.folder, PUBLIC_FOLDER]) : undefined;
  if (escape !== undefined) {
    context.report(at, `${JSON.stringify(escape)} is a link that leads out of the directory`, 'copy what it leads to');
    return undefined;
  }
  const isThere = async (name: string) =>
    (await stat(join(input.path, name)).catch(() => undefined))?.isFile() === true;
  for (const key of ['kernel', 'initrd'] as const) {
    if (await isThere(names[key])) continue;
    const where = entry[key] === undefined ? at : [...path, key];
    context.report(
      where,
      `no file ${JSON.stringify(names[key])} in ${JSON.stringify(entry.directory)}`,
      `name it by "${key}"`,
    );
  }
  const there: Record<string, string> = {};
  for (const [firmware, name] of Object.entries(bootFiles)) {
    if (await isThere(name)) there[firmware] = name;
    else if (wanted !== undefined)
      context.report(
        [...path, 'boot-files', firmware],
        `no file ${JSON.stringify(name)} in ${JSON.stringify(entry.directory)}`,
      );
  }
  return { kind: 'netboot', directory: input.path, ...names, bootFiles: there };
}

/** The first link below a directory that leads to none of the roots. A tree with too many entries counts as one. */
async function linkOutOf(directory: string, roots: readonly string[]): Promise<string | undefined> {
  const realRoots = await Promise.all(roots.map((root) => realpath(root).catch(() => root)));
  const open = [directory];
  let entries = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const name of await readdir(next)) {
      const path = join(next, name);
      if (++entries > MOST_ENTRIES) return path;
      const facts = await lstat(path);
      if (facts.isDirectory()) open.push(path);
      if (!facts.isSymbolicLink()) continue;
      const real = await realpath(path).catch(() => undefined);
      if (real !== undefined && !realRoots.some((root) => isWithin(real, root))) return path;
    }
  }
  return undefined;
}
