import type { Identity, User } from '@polyvisor/core';
import type { Sandbox } from './sandbox.js';

/**
 * Makes a user or changes one that exists. The password's hash comes on the standard input, so that it shows in no list
 * of processes. `$1` name, `$2` groups separated by commas, `$3` shell, `$4` yes for sudo.
 */
const MAKE = `
name=$1 groups=$2 shell=$3 sudo=$4
IFS= read -r hash
if ! getent passwd "$name" >/dev/null; then
  useradd --create-home --user-group --shell "$shell" "$name"
else
  usermod --shell "$shell" "$name"
fi
if [ -n "$groups" ]; then usermod --append --groups "$groups" "$name"; fi
if [ -n "$hash" ]; then printf '%s:%s\\n' "$name" "$hash" | chpasswd --encrypted; fi
home=$(getent passwd "$name" | cut -d: -f6)
keys=$(cat)
if [ -n "$keys" ]; then
  install -d -m 0700 -o "$name" -g "$(id -g "$name")" "$home/.ssh"
  printf '%s\\n' "$keys" >"$home/.ssh/authorized_keys"
  chmod 0600 "$home/.ssh/authorized_keys"
  chown "$name:" "$home/.ssh/authorized_keys"
fi
if [ "$sudo" = yes ] && [ "$name" != root ]; then
  printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\\n' "$name" >"/etc/sudoers.d/90-$name"
  chmod 0440 "/etc/sudoers.d/90-$name"
fi
`;

/** crypt(5): a method between dollar signs, then salt and hash. Anything else is a password in plain text. */
const HASH = /^\$[a-z0-9]+\$[^:\n]+\$[^:\n]+$/i;

export async function makeUsers(sandbox: Sandbox, users: readonly User[], identity: Identity): Promise<void> {
  for (const user of users) {
    const hash = user.password === undefined || user.password === '' ? '' : await hashOf(sandbox, user, identity);
    await sandbox.chroot(
      'sh',
      ['-euc', MAKE, 'sh', user.name, user.groups.join(','), user.shell, user.sudo ? 'yes' : 'no'],
      { input: `${hash}\n${user.sshKeys.join('\n')}\n` },
    );
  }
}

/** The guest's own libcrypt hashes (perl is part of every Debian); the salt comes from the seed, so that builds repeat. */
async function hashOf(sandbox: Sandbox, { name, password = '' }: User, identity: Identity): Promise<string> {
  if (HASH.test(password)) return password;
  const salt = Buffer.from(identity.bytes(`salt ${name} ${password}`, 12))
    .toString('base64url')
    .replaceAll(/[-_]/g, '.');
  const { stdout } = await sandbox.chroot('perl', ['-e', 'local $/; print crypt(<STDIN>, $ARGV[0])', `$6$${salt}$`], {
    input: password,
  });
  return stdout.trim();
}
