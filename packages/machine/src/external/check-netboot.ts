import { stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { DefinitionError, EnvironmentError, type Firmware, type InstallerMedium } from '@polyvisor/core';

/** Files of a network start that were seen to be there. Paths are absolute, `bootFile` is relative to `directory`. */
export interface NetbootFiles {
  readonly directory: string;
  readonly kernel: string;
  readonly initrd: string;
  /** What firmware of the wanted kind loads; absent when the medium names none for it. */
  readonly bootFile?: string;
}

/** Checks that the files of a network start are there. `netboot-missing` names the Debian package that brings them, if it can. */
export async function checkNetboot(
  medium: Extract<InstallerMedium, { kind: 'netboot' }>,
  firmware: Firmware,
): Promise<NetbootFiles> {
  const { directory } = medium;
  const bootFile = medium.bootFiles[firmware];
  const inside = (name: string) => join(directory, name);
  const wanted = [medium.kernel, medium.initrd, ...(bootFile === undefined ? [] : [bootFile])];
  const foreign = wanted.find((name) => leavesDirectory(directory, name));
  if (foreign !== undefined)
    throw new DefinitionError('netboot-foreign', `${foreign} is not below the netboot directory ${directory}`, {
      hint: 'name files below it, relative to it',
    });
  const missing: string[] = [];
  for (const name of wanted) if (!(await isFile(inside(name)))) missing.push(inside(name));
  if (missing.length > 0)
    throw new EnvironmentError(
      'netboot-missing',
      `files for starting over the network are missing: ${missing.join(', ')}`,
      {
        hint: packageHint(directory),
      },
    );
  return {
    directory,
    kernel: inside(medium.kernel),
    initrd: inside(medium.initrd),
    ...(bootFile === undefined ? {} : { bootFile }),
  };
}

/** Debian's packages put their files below `/usr/lib/debian-installer/images/<release>/<architecture>/{text,gtk}`. */
function packageHint(directory: string): string {
  const [, release, architecture] =
    /^\/usr\/lib\/debian-installer\/images\/(\d+)\/([a-z0-9]+)\//.exec(`${directory}/`) ?? [];
  return release === undefined || architecture === undefined
    ? 'check `directory`, `kernel`, `initrd` and `boot-files` of the medium'
    : `apt-get install debian-installer-${release}-netboot-${architecture}`;
}

function leavesDirectory(directory: string, name: string): boolean {
  const way = relative(directory, join(directory, name));
  return isAbsolute(name) || way === '' || way === '..' || way.startsWith('../');
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
