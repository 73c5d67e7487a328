import { GuestError } from '@polyvisor/core';
import { asRoot, type Work } from './work.js';

/**
 * Takes the key `$1` out of every file that lets people in, of every user, and of where the server's own settings say. A file that
 * held nothing else was made for this build and goes, with its directory if that is empty. Then looks where else it may be:
 * `grants` where it still lets somebody in, `mentions` elsewhere.
 */
const REMOVE = `
key=$1
accounts() { getent passwd 2>/dev/null || cat /etc/passwd; }
candidates() {
  accounts | cut -d: -f6 | sort -u | while IFS= read -r home; do
    for file in "$home"/.ssh/authorized_keys "$home"/.ssh/authorized_keys2; do printf '%s\\n' "$file"; done
  done
  for file in /etc/ssh/authorized_keys/* /etc/ssh/authorized_keys.d/* /etc/ssh/keys/* /etc/dropbear/authorized_keys; do
    printf '%s\\n' "$file"
  done
  sshd=$(command -v sshd || echo /usr/sbin/sshd)
  { "$sshd" -T 2>/dev/null || true; } | sed -n 's/^authorizedkeysfile //p' | tr ' ' '\\n' | while IFS= read -r pattern; do
    accounts | while IFS=: read -r user _ _ _ _ home _; do
      file=$(printf '%s' "$pattern" | sed -e "s|%u|$user|g" -e "s|%h|$home|g")
      case $file in /*) ;; *) file=$home/$file ;; esac
      printf '%s\\n' "$file"
    done
  done
}
candidates | sort -u | while IFS= read -r file; do
  [ -f "$file" ] && grep -qF -e "$key" "$file" || continue
  rest=$(grep -vF -e "$key" "$file" || true)
  if [ -n "$(printf '%s' "$rest" | tr -d ' \\t\\n')" ]; then
    printf '%s\\n' "$rest" >"$file" || continue
  else
    rm -f "$file" || continue
    case $file in */.ssh/*) rmdir "\${file%/*}" 2>/dev/null || true ;; esac
  fi
  printf 'removed %s\\n' "$file"
done
candidates | sort -u | while IFS= read -r file; do
  if [ -f "$file" ] && grep -qF -e "$key" "$file"; then printf 'grants %s\\n' "$file"; fi
done
for place in /etc /root /home /var/lib/cloud /usr/local/etc; do
  [ -d "$place" ] || continue
  find "$place" -xdev -type f -exec grep -lF -e "$key" {} + 2>/dev/null || true
done | sed 's/^/mentions /'
`;

/** Removes the build's key from the guest, and makes sure of it. */
export async function removeBuildKey(work: Work): Promise<void> {
  const { log, key } = work;
  work.emit({ type: 'waiting', stage: 'seal', message: "the build's key to be removed" });
  const { stdout } = await asRoot(work, "removing the build's key", REMOVE, {
    arguments: [key.body],
    timeout: 300_000,
  });
  const lines = stdout.split('\n');
  const files = (verb: string) =>
    lines.filter((line) => line.startsWith(`${verb} `)).map((line) => line.slice(verb.length + 1));
  const grants = files('grants');
  if (grants.length > 0) {
    throw new GuestError('key-remains', `the build's key could not be removed from ${grants.join(', ')} in the guest`, {
      hint: 'does something in the guest write the file again, or is it read-only?',
    });
  }
  const removed = files('removed');
  log.info(
    removed.length === 0 ? "the guest did not have the build's key" : `build's key removed from ${removed.join(', ')}`,
  );
  for (const file of files('mentions')) {
    log.warn(
      `${file} still has the build's public key in it, which lets nobody in: its private key is gone with the build`,
    );
  }
}
