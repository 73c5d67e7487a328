/** One thing that two copies of an appliance must not share, or that has no business in an image. */
export interface SealOperation {
  /** How a definition names it in `seal.keep`. */
  readonly name: string;
  /** What is reset, for documentation and for people who wonder what to keep. */
  readonly resets: string;
  /**
   * POSIX shell. `$root` is in front of every path; `drop`, `clear` and `prune` (see `script.ts`) remove and say so.
   * Touches nothing that is not there, so that one script fits every guest.
   */
  readonly shell: string;
}

/** In the order of execution: logs come late, for other steps might still write some. */
export const SEAL_OPERATIONS: readonly SealOperation[] = [
  {
    name: 'machine-id',
    resets: 'the machine id of systemd and D-Bus; a new one is made at the first boot',
    // An empty file, not a missing one: systemd then makes an id without resetting which services are enabled.
    shell: `
if [ -e "$root/etc/machine-id" ] || [ -e "$root/usr/lib/systemd/systemd" ] || [ -e "$root/lib/systemd/systemd" ]; then
  rm -f "$root/etc/machine-id"
  : >"$root/etc/machine-id"
  chmod 444 "$root/etc/machine-id"
  say /etc/machine-id
fi
if [ -d "$root/var/lib/dbus" ]; then
  rm -f "$root/var/lib/dbus/machine-id"
  ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"
  say /var/lib/dbus/machine-id
fi`,
  },
  {
    name: 'ssh-host-keys',
    resets: "the SSH server's keys; something in the guest has to make new ones at the first boot",
    // Debian's package makes keys when it is installed and never again.
    shell: `
drop "$root"/etc/ssh/ssh_host_*
if [ -e "$root/usr/sbin/sshd" ] && [ ! -e "$root/usr/bin/cloud-init" ] &&
  ! grep -rqsE 'ssh-keygen|dpkg-reconfigure.*openssh-server' "$root/etc/systemd/system" "$root/usr/lib/systemd/system" \\
    "$root/lib/systemd/system" "$root/etc/init.d" "$root/etc/rc.local" "$root/usr/local/sbin" "$root/usr/local/lib"; then
  warn 'an SSH server is installed and nothing makes its host keys at the first boot, so nobody will be able to log in by SSH; add a unit that runs "ssh-keygen -A" before ssh.service'
fi`,
  },
  {
    name: 'random-seed',
    resets: 'seeds of random generators and the secret of systemd credentials',
    shell: `
drop "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret" "$root/var/lib/urandom/random-seed" \\
  "$root/var/lib/random-seed" "$root/boot/loader/random-seed" "$root/boot/efi/loader/random-seed" "$root/efi/loader/random-seed"`,
  },
  {
    name: 'dhcp-leases',
    resets: 'addresses leased while building, and the identifiers under which they were',
    shell: `
drop "$root"/var/lib/dhcp/*.lease* "$root"/var/lib/dhclient/* "$root"/var/lib/dhcpcd/* "$root"/var/lib/dhcpcd5/* "$root/etc/dhcpcd.duid" \\
  "$root"/var/lib/NetworkManager/*.lease "$root/var/lib/NetworkManager/secret_key" "$root/var/lib/NetworkManager/timestamps" \\
  "$root/var/lib/NetworkManager/seen-bssids"`,
  },
  {
    name: 'udev-rules',
    resets: 'names given to the network cards and drives of the building machine',
    shell: `
drop "$root"/etc/udev/rules.d/70-persistent-*.rules "$root"/etc/udev/rules.d/75-persistent-*.rules "$root"/etc/udev/rules.d/75-cd-aliases-generator.rules \\
  "$root/etc/blkid.tab" "$root/etc/blkid/blkid.tab"`,
  },
  {
    name: 'storage-identity',
    resets: 'names of this machine for iSCSI and NVMe, and what LVM and multipath remember of its disks',
    // open-iscsi makes a name at its first start when the file says so.
    shell: `
if [ -s "$root/etc/iscsi/initiatorname.iscsi" ] && ! grep -qs '^GenerateName=yes' "$root/etc/iscsi/initiatorname.iscsi"; then
  printf 'GenerateName=yes\\n' >"$root/etc/iscsi/initiatorname.iscsi"
  say /etc/iscsi/initiatorname.iscsi
fi
drop "$root/etc/nvme/hostid" "$root/etc/nvme/hostnqn" "$root/etc/hostid" "$root/etc/multipath/bindings" "$root/etc/multipath/wwids" \\
  "$root"/etc/lvm/archive/* "$root"/etc/lvm/backup/* "$root/etc/lvm/devices/system.devices"`,
  },
  {
    name: 'agent-identity',
    resets:
      'keys and ids under which management agents (Puppet, Salt, SSSD, subscription managers) enrolled the building machine',
    shell: `
drop "$root"/var/lib/puppet/ssl "$root"/etc/puppet/ssl "$root"/etc/puppetlabs/puppet/ssl "$root"/etc/salt/pki/minion/* "$root/etc/salt/minion_id" \\
  "$root"/var/lib/sss/db/* "$root"/var/lib/sss/mc/* "$root/etc/sysconfig/rhn/systemid" "$root"/etc/pki/consumer/* "$root"/etc/pki/entitlement/* \\
  "$root/etc/krb5.keytab" "$root"/var/lib/samba/private/*.tdb`,
  },
  {
    name: 'cloud-init',
    resets: 'what cloud-init has done, so that it does it again; seeds and scripts that came with the definition stay',
    shell: `
drop "$root"/var/lib/cloud/data "$root"/var/lib/cloud/instance "$root"/var/lib/cloud/instances "$root"/var/lib/cloud/sem \\
  "$root/etc/netplan/50-cloud-init.yaml" "$root/etc/network/interfaces.d/50-cloud-init" "$root/etc/network/interfaces.d/50-cloud-init.cfg"`,
  },
  {
    name: 'system-state',
    resets: 'times of timers and clocks, and settings of devices of the building machine',
    shell: `
drop "$root"/var/lib/systemd/timers/* "$root"/var/lib/systemd/timesync/* "$root"/var/lib/private/systemd/timesync/* "$root"/var/lib/systemd/rfkill/* \\
  "$root"/var/lib/systemd/backlight/* "$root/var/lib/systemd/linger/.keep" "$root/etc/adjtime" "$root/etc/fake-hwclock.data" \\
  "$root"/var/lib/logrotate/status "$root"/var/lib/ntp/ntp.drift "$root"/var/lib/chrony/*`,
  },
  {
    name: 'mail',
    resets: 'mail that came in while building',
    shell: `
prune mail "$root/var/mail" "$root/var/spool/mail"`,
  },
  {
    name: 'crash-dumps',
    resets: 'dumps of what crashed while building',
    shell: `
drop "$root"/var/crash/* "$root"/var/lib/systemd/coredump/* "$root"/var/spool/abrt/* "$root"/var/lib/systemd/pstore/*`,
  },
  {
    name: 'shell-history',
    resets: 'histories of shells and tools of every user, and the hosts that their SSH knows',
    shell: `
for home in "$root/root" "$root"/home/*; do
  drop "$home"/.*_history "$home"/.lesshst "$home"/.viminfo "$home"/.wget-hsts "$home"/.sudo_as_admin_successful "$home"/.ssh/known_hosts \\
    "$home"/.ssh/known_hosts.old "$home"/.cache "$home"/.local/share/nano
done`,
  },
  {
    name: 'package-cache',
    resets: 'lists of packages, and packages kept after they were installed',
    shell: `
prune 'package lists' "$root/var/lib/apt/lists"
prune 'package files' "$root/var/cache/apt" "$root/var/cache/dnf" "$root/var/cache/yum" "$root/var/cache/zypp/packages" "$root/var/cache/pacman/pkg"
drop "$root"/var/lib/apt/periodic/* "$root/var/lib/apt/listchanges.db"`,
  },
  {
    name: 'backup-files',
    resets: 'copies that tools keep of their former state',
    shell: `
drop "$root"/etc/passwd- "$root"/etc/shadow- "$root"/etc/group- "$root"/etc/gshadow- "$root"/etc/subuid- "$root"/etc/subgid- \\
  "$root"/etc/.pwd.lock "$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old "$root"/var/backups/*`,
  },
  {
    name: 'caches',
    resets: 'caches that differ from build to build and are made again when needed',
    shell: `
drop "$root/var/cache/ldconfig/aux-cache" "$root"/var/cache/man/* "$root"/var/cache/fontconfig/* "$root"/var/cache/apparmor/* "$root"/var/cache/PackageKit/*`,
  },
  {
    name: 'temporary-files',
    resets: '/tmp, /var/tmp and what services left in /run',
    shell: `
empty "$root/tmp" "$root/var/tmp"
drop "$root"/run/systemd/netif/leases/* "$root"/run/cloud-init "$root"/run/utmp`,
  },
  {
    name: 'logs',
    resets: 'logs: rotated ones and journals are removed, the others emptied',
    shell: `
drop "$root"/var/log/journal/* "$root"/var/log/installer "$root"/var/log/*.gz "$root"/var/log/*.xz "$root"/var/log/*.[0-9] "$root"/var/log/*.old \\
  "$root"/var/log/*/*.gz "$root"/var/log/*/*.xz "$root"/var/log/*/*.[0-9] "$root"/var/log/*/*.old "$root"/var/log/bootstrap.log \\
  "$root"/var/log/cloud-init.log "$root"/var/log/cloud-init-output.log "$root"/var/account/pacct
clear "$root/var/log"`,
  },
];

/** What a definition may name in `seal.keep`. */
export const SEAL_OPERATION_NAMES: readonly string[] = SEAL_OPERATIONS.map(({ name }) => name);
