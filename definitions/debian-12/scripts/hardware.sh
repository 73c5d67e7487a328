#!/bin/sh
# Removes the drivers that /etc/dpkg/dpkg.cfg.d/hardware keeps out from now on.
set -eu

for modules in /lib/modules/*; do
  sed -n 's,^path-exclude=/lib/modules/\*\(/.*\)/\*$,\1,p' /etc/dpkg/dpkg.cfg.d/hardware | while read -r part; do
    rm -rf "$modules$part"
  done
  depmod -a "${modules##*/}"
done
