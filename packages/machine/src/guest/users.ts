import { DefinitionError, type User } from '@polyvisor/core';
import { asRoot, type Work } from './work.js';

/**
 * Makes a user or changes one that exists. Passwords come on the standard input, so that they show in no list of processes; the
 * keys follow. `$1` name, `$2` groups separated by commas, `$3` shell, `$4` yes for sudo, `$5` whether the password is a `hash`,
 * `$6` Base64 of the build's key: where it has its line already it stays, or nobody could log in after a restart.
 */
const MAKE = `
name=$1 groups=$2 shell=$3 sudo=$4 form=$5 key=$6
IFS= read -r password
keys=$(cat)
account() { { getent passwd "$name" 2>/dev/null || cat /etc/passwd; } | grep "^$name:" | head -n 1; }
new=no
if [ -z "$(account)" ]; then
  new=yes
  if command -v useradd >/dev/null; then useradd -m -U -s "$shell" "$name"; else adduser -D -s "$shell" "$name"; fi
elif [ "$(account | cut -d: -f7)" != "$shell" ]; then
  if command -v usermod >/dev/null; then
    usermod -s "$shell" "$name"
  else
    changed=$(awk -F: -v OFS=: -v name="$name" -v shell="$shell" '$1 == name { $7 = shell } { print }' /etc/passwd)
    printf '%s\\n' "$changed" >/etc/passwd
  fi
fi
for group in $(printf '%s' "$groups" | tr , ' '); do
  if command -v usermod >/dev/null; then usermod -a -G "$group" "$name"; else addgroup "$name" "$group"; fi
done
if [ -n "$password" ]; then
  if [ "$form" = hash ]; then
    printf '%s:%s\\n' "$name" "$password" | chpasswd -e
  else
    printf '%s:%s\\n' "$name" "$password" | chpasswd
  fi
elif [ "$new" = yes ] && [ -n "$keys" ]; then
  # No password, but not locked either: SSH servers without PAM let no locked user in, by key or otherwise.
  printf '%s:*\\n' "$name" | chpasswd -e
fi
if [ -n "$keys" ]; then
  home=$(account | cut -d: -f6)
  file=$home/.ssh/authorized_keys
  mkdir -p "$home/.ssh"
  kept=$(grep -F -e "$key" "$file" 2>/dev/null || true)
  (umask 077; printf '%s\\n' "$keys" >"$file.polyvisor")
  if [ -n "$kept" ]; then printf '%s\\n' "$kept" >>"$file.polyvisor"; fi
  mv -f "$file.polyvisor" "$file"
  chmod 0700 "$home/.ssh"
  chown "$(id -u "$name"):$(id -g "$name")" "$home/.ssh" "$file"
  if command -v restorecon >/dev/null; then restorecon -R "$home/.ssh" || true; fi
fi
if [ "$sudo" = yes ] && [ "$name" != root ]; then
  command -v sudo >/dev/null || { echo 'the guest has no sudo' >&2; exit 1; }
  mkdir -p /etc/sudoers.d
  (umask 0337; printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\\n' "$name" >"/etc/sudoers.d/90-$name.new")
  mv -f "/etc/sudoers.d/90-$name.new" "/etc/sudoers.d/90-$name"
fi
`;

/** crypt(5): a method between dollar signs, then salt and hash. Anything else is a password in plain text. */
const HASH = /^\$[a-z0-9]+\$[^:\n]+\$[^:\n]+$/i;

export async function makeUsers(work: Work): Promise<void> {
  for (const user of work.appliance.users) {
    const { name, password = '', groups, shell, sudo, sshKeys } = user;
    const form = isHash(user) ? 'hash' : 'plain';
    await asRoot(work, `making the user ${name}`, MAKE, {
      arguments: [name, groups.join(','), shell, sudo ? 'yes' : 'no', form, work.key.body],
      input: `${password}\n${sshKeys.join('\n')}\n`,
    });
    if (password !== '' && form === 'plain') work.guest.usePassword(name, password);
  }
}

/** Finds, before anything is changed, what would lock the build itself out in its middle. */
export function checkPasswords({ appliance: { users }, guest: { access } }: Pick<Work, 'appliance' | 'guest'>): void {
  for (const user of users) {
    const { name, password, sudo } = user;
    if (password !== undefined && /[\n\r\0]/.test(password)) {
      throw new DefinitionError(
        'password-invalid',
        `the password of ${name} has a line end in it, which no login takes`,
      );
    }
    const asked = access.become === 'su' ? name === 'root' : access.become === 'sudo' && name === access.user && !sudo;
    if (asked && access.password !== undefined && isHash(user)) {
      throw new DefinitionError(
        'password-hashed',
        `${name} gets a password of which only the hash is known, and the build has to give it to ${access.become} afterwards`,
        {
          hint: 'name the password itself under `users`, set `sudo: true` for that user, or let `access` log in as root',
        },
      );
    }
  }
}

function isHash({ password = '' }: User): boolean {
  return HASH.test(password);
}
