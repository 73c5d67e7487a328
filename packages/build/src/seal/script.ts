import { SEAL_OPERATIONS } from './operations.js';

export interface SealOptions {
  /** Names of operations to leave out. */
  readonly keep?: readonly string[];
  /** In front of every path; empty when the guest's root is `/`, which is how provisioners run the script. */
  readonly root?: string;
}

/**
 * What the operations are written in. A pattern that matches nothing stays as it is and names nothing that exists.
 * Nothing here crosses a mount, and no symbolic link is followed.
 */
const PRELUDE = `
set -u
umask 022
LC_ALL=C
export LC_ALL
operation=none
say() { printf '%s: %s\\n' "$operation" "$1"; }
warn() { printf 'warning: %s\\n' "$1"; }
fail() { printf '%s: cannot reset %s\\n' "$operation" "$1" >&2; exit 1; }
drop() {
  for path do
    if [ -e "$path" ] || [ -L "$path" ]; then
      rm -rf -- "$path" || fail "$path"
      say "\${path#"$root"}"
    fi
  done
}
clear() {
  for directory do
    [ -d "$directory" ] && [ ! -L "$directory" ] || continue
    find "$directory" -xdev -type f -size +0 | sort | while IFS= read -r path; do
      : >"$path" || fail "$path"
      say "\${path#"$root"}"
    done || exit 1
  done
}
empty() {
  for directory do
    [ -d "$directory" ] && [ ! -L "$directory" ] || continue
    count=$(find "$directory" -xdev -mindepth 1 | wc -l)
    [ "$count" -eq 0 ] && continue
    find "$directory" -xdev -depth -mindepth 1 -delete || fail "$directory"
    say "\${directory#"$root"} ($((count)) entries)"
  done
}
prune() {
  what=$1
  shift
  for directory do
    [ -d "$directory" ] && [ ! -L "$directory" ] || continue
    count=$(find "$directory" -xdev -mindepth 1 ! -type d | wc -l)
    find "$directory" -xdev -mindepth 1 ! -type d -exec rm -f -- {} + || fail "$directory"
    [ "$count" -eq 0 ] || say "\${directory#"$root"} ($((count)) $what)"
  done
}
`;

/** The POSIX shell script that a provisioner runs last, in the guest. Prints a line for each thing that it reset. */
export function sealScript({ keep = [], root = '' }: SealOptions = {}): string {
  const kept = new Set(keep);
  const steps = SEAL_OPERATIONS.filter(({ name }) => !kept.has(name)).map(
    ({ name, resets, shell }) => `\n# ${resets}\noperation=${name}${shell}\n`,
  );
  return `#!/bin/sh\n${PRELUDE.trimStart()}root='${root.replaceAll("'", `'\\''`)}'\n${steps.join('')}exit 0\n`;
}
