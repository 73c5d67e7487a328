import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestFile } from './guest-files.js';
import type { Sandbox } from './sandbox.js';

/**
 * What programs of the guest need while they run in its tree: the kernel's file systems, a few devices, name lookup, and
 * a policy-rc.d that keeps services from starting. `/run`, `/tmp` and `/dev` are in memory: what is left there is gone.
 */
const ENTER = `
root=$1
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
# Where this machine's root is ours; for an ordinary user the kernel refuses writes (and this change) anyway.
if [ "$2" = root ]; then mount -o remount,bind,ro "$root/sys"; fi
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
chmod 1777 "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir -m 1777 "$root/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -e /etc/resolv.conf ]; then
  if [ -L "$root/etc/resolv.conf" ]; then
    mkdir -p "$root/run/systemd/resolve"
    cat /etc/resolv.conf >"$root/run/systemd/resolve/stub-resolv.conf"
    cat /etc/resolv.conf >"$root/run/systemd/resolve/resolv.conf"
  else
    # A copy: scripts may write to it.
    cat /etc/resolv.conf >"$root/run/polyvisor-resolv.conf"
    [ -e "$root/etc/resolv.conf" ] || : >"$root/etc/resolv.conf"
    mount --bind "$root/run/polyvisor-resolv.conf" "$root/etc/resolv.conf"
  fi
fi
printf '#!/bin/sh\\nexit 101\\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
`;

/** Takes away all that ENTER brought; `/run`, `/tmp` and `/dev` of the tree are empty then. */
const LEAVE = `
root=$1
rm -f "$root/usr/sbin/policy-rc.d"
for place in etc/resolv.conf tmp run dev sys proc; do
  if mountpoint -q "$root/$place"; then umount --lazy "$root/$place"; fi
done
[ -L "$root/etc/resolv.conf" ] || [ -s "$root/etc/resolv.conf" ] || rm -f "$root/etc/resolv.conf"
for place in tmp run dev; do
  find "$root/$place" -xdev -mindepth 1 -delete
done
`;

/** The guest's tree with what its programs need, until it is disposed. */
export async function enterGuest(sandbox: Sandbox): Promise<AsyncDisposable> {
  await sandbox.shell(ENTER, [sandbox.root, sandbox.isolation]);
  let inside = true;
  return {
    [Symbol.asyncDispose]: async () => {
      if (!inside) return;
      inside = false;
      await sandbox.shell(LEAVE, [sandbox.root]);
    },
  };
}

/** Writes files of ours into the guest, through the guest's own links. */
export async function writeGuestFiles(sandbox: Sandbox, workDir: string, files: readonly GuestFile[]): Promise<void> {
  const staged = join(workDir, 'staged');
  for (const { path, mode, text } of files) {
    await writeFile(staged, text);
    await sandbox.shell(`chroot "$1" sh -euc 'mkdir -p "\${1%/*}"; cat >"$1"; chmod "$2" "$1"' sh "$3" "$4" <"$2"`, [
      sandbox.root,
      staged,
      path,
      mode.toString(8),
    ]);
  }
}

/** Names of the guest's packages with their versions. */
export async function packageVersions(sandbox: Sandbox, workDir: string): Promise<Record<string, string>> {
  const list = join(workDir, 'packages');
  await sandbox.shell(`chroot "$1" dpkg-query --show --showformat '\${Package} \${Version}\\n' >"$2"`, [
    sandbox.root,
    list,
  ]);
  const lines = (await readFile(list, 'utf8')).split('\n').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => line.split(' ') as [string, string]));
}
