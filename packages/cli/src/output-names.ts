import { stat } from 'node:fs/promises';
import { join, parse, resolve, sep } from 'node:path';
import { DefinitionError, type DiskConverter } from '@polyvisor/core';

/** Extensions of compressed files, which say nothing about what is in them. */
const COMPRESSED = /\.(gz|xz|bz2|zst|zstd)$/i;

/**
 * Name of an image without its folder and its extensions: `disk` of `out/disk.raw` and of `disk.vhd.gz`. Numbers are no
 * extension: `debian-12.5` stays. Standard input has none.
 */
export function stemOf(path: string): string {
  if (path === '-') return 'disk';
  const { base, name, ext } = parse(path.replace(COMPRESSED, ''));
  return /^\.[A-Za-z]\w*$/.test(ext) ? name : base;
}

/**
 * Where each output goes. One output may be named by `given`; otherwise `given` is a directory (which need not exist),
 * in which each is called `<stem>-<format><extension>`. Without `given`, the current directory.
 */
export async function outputPaths(
  stem: string,
  converters: readonly DiskConverter[],
  given: string | undefined,
  cwd: string,
): Promise<readonly string[]> {
  const target = given === undefined ? cwd : resolve(cwd, given);
  const stats = await stat(target).catch(() => undefined);
  const isDirectory =
    given === undefined || stats?.isDirectory() === true || /[/\\]$/.test(given) || given.endsWith(sep);
  if (converters.length === 1 && !isDirectory) return [target];
  if (stats !== undefined && !stats.isDirectory()) {
    throw new DefinitionError(
      'output-not-a-directory',
      `${given} is a file, and ${converters.length} outputs need a directory`,
      {
        hint: 'name a directory with -o; it is made if it does not exist',
      },
    );
  }
  return converters.map(({ id, extension }) => join(target, `${stem}-${id}${extension}`));
}
