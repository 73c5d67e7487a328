#!/bin/sh
# The last touches: the network, and how people get in.
set -eu

# The installer wrote down the name of this machine's network card; elsewhere it has another. systemd-networkd takes any.
printf 'auto lo\niface lo inet loopback\n' >/etc/network/interfaces
systemctl enable systemd-networkd ssh-host-keys fstrim.timer

# Without a password of their own, users come in by key only.
if [ -z "${password:-}" ]; then
  printf 'PasswordAuthentication no\n' >/etc/ssh/sshd_config.d/50-keys-only.conf
  if [ -z "${admin_key:-}" ]; then
    echo "warning: nobody can log in to this appliance: build it with --var password=… or --var admin-key=\"\$(cat ~/.ssh/id_ed25519.pub)\""
  fi
fi
