import { DefinitionError } from '@polyvisor/core';
import type { Guest } from './guest.js';

/** Prints the number of the user `$1` and of the group `$2`, a line each; empty where the guest has no such name. */
const NUMBERS = `
case $1 in *[!0-9]*) id -u "$1" 2>/dev/null || echo ;; *) echo "$1" ;; esac
case $2 in
  *[!0-9]*)
    line=$(getent group "$2" 2>/dev/null || grep "^$2:" /etc/group || true)
    number=\${line#*:*:}
    echo "\${number%%:*}"
    ;;
  *) echo "$2" ;;
esac
`;

/** Numbers for `user:group`; a name alone stands for both, as definitions have it. */
export async function resolveOwner(
  guest: Guest,
  owner: string,
  to: string,
  signal: AbortSignal,
): Promise<{ readonly uid: number; readonly gid: number }> {
  const [user = 'root', group = user] = owner.split(':');
  if (user === 'root' && group === 'root') return { uid: 0, gid: 0 };
  const { stdout } = await guest.exec(NUMBERS, {
    arguments: [user, group],
    purpose: `looking for the owner of ${to}`,
    timeout: 60_000,
    signal,
  });
  const [uid, gid] = stdout.split('\n').map((line) => (/^\d{1,10}$/.test(line.trim()) ? Number(line) : undefined));
  if (uid === undefined || gid === undefined) {
    throw new DefinitionError(
      'owner-unknown',
      `the guest has no ${uid === undefined ? `user ${user}` : `group ${group}`}, to whom ${to} is to belong`,
      { hint: 'name it under `users`, install the package that makes it, or change the owner in a script' },
    );
  }
  return { uid, gid };
}
