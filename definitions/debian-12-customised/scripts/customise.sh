#!/bin/sh
# Whatever is to be different from the disk that this one started from. Variables of the definition are in the environment.
set -eu

printf '%s\n' "$greeting" >/etc/motd
