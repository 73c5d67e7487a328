import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { DefinitionError, EnvironmentError, type FileToCopy } from '@polyvisor/core';
import type { Sandbox } from './sandbox.js';

/**
 * Copies through tar, so that the guest's own links are followed inside the guest. Times are those of the build and
 * names are in order; nobody but the owner may write, whatever the umask was when the files were checked out.
 * `$1` root, `$2` directory, `$3` name in it, `$4` path in the guest, `$5` user, `$6` group, `$7` mode or nothing.
 */
const COPY = `
root=$1 from=$2 name=$3 to=$4 user=$5 group=$6 mode=$7
set -- --create --file=- --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner="$user:0" --group="$group:0" --mode=go-w
if [ -d "$from/$name" ]; then
  tar "$@" --directory="$from/$name" . |
    chroot "$root" sh -euc 'mkdir -p "$1"; tar --extract --file=- --preserve-permissions --no-overwrite-dir --directory="$1"' sh "$to"
  if [ -n "$mode" ]; then
    (cd "$from/$name"; find . -type f -print0) | chroot "$root" env --chdir="$to" xargs -0 -r chmod "$mode" --
  fi
else
  tar "$@" --dereference --directory="$from" --transform='s,.*,file,' "$name" |
    chroot "$root" sh -euc '
      if [ -d "$1" ]; then echo "$1 is a directory in the guest" >&2; exit 1; fi
      parent=\${1%/*}; mkdir -p "$parent/"; staging=$(mktemp -d "$parent/.copy.XXXXXX")
      tar --extract --file=- --preserve-permissions --directory="$staging"
      if [ -n "$2" ]; then chmod "$2" "$staging/file"; fi
      mv -T "$staging/file" "$1"; rmdir "$staging"' sh "$to" "$mode"
fi
`;

/** Copies the definition's files into the guest, in order. */
export async function copyFiles(sandbox: Sandbox, files: readonly FileToCopy[]): Promise<void> {
  for (const file of files) {
    const { from, to, mode } = file;
    await stat(from).catch((cause: unknown) => {
      throw new DefinitionError('file-missing', `there is no ${from}, which is to be copied to ${to}`, { cause });
    });
    const [user = 'root', group = user] = file.owner.split(':');
    await requireOwner(sandbox, 'passwd', user, file);
    await requireOwner(sandbox, 'group', group, file);
    await sandbox
      .shell(COPY, [sandbox.root, dirname(from), basename(from), to, user, group, mode?.toString(8) ?? ''])
      .catch((cause: unknown) => {
        sandbox.signal.throwIfAborted();
        throw new EnvironmentError('copy-failed', `cannot copy ${from} to ${to} in the guest: ${String(cause)}`, {
          hint: 'is it readable for the user who builds, and is the place in the guest not taken by something else?',
          cause,
        });
      });
  }
}

/** tar would quietly take root for a name that the guest does not know. */
async function requireOwner(
  sandbox: Sandbox,
  database: 'passwd' | 'group',
  name: string,
  file: FileToCopy,
): Promise<void> {
  const { exitCode } = await sandbox.chroot('getent', [database, name], { acceptExitCodes: [0, 2] });
  if (exitCode === 0) return;
  throw new DefinitionError(
    'owner-unknown',
    `the guest has no ${database === 'passwd' ? 'user' : 'group'} ${name}, to whom ${file.to} is to belong`,
    { hint: 'name it under `users`, install the package that makes it, or change the owner in a script' },
  );
}
