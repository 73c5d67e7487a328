#!/bin/sh
# Debian's installer makes the disk bootable under the firmware of the machine on which it ran. This adds the other one.
set -eu

root=$(findmnt -no SOURCE /)
disk=/dev/$(lsblk -no PKNAME "$root" | head -n 1)
esp=$(findmnt -no SOURCE /boot/efi)
number=$(cat "/sys/class/block/${esp##*/}/partition")

# Each kind of firmware knows its own partition alone: the first one is for BIOS, and this one for UEFI.
sfdisk --quiet --no-reread --force --part-type "$disk" 1 21686148-6449-6E6F-744E-656564454649
sfdisk --quiet --no-reread --force --part-type "$disk" "$number" C12A7328-F81F-11D2-BA4B-00C93EC93B4B
partx --update "$disk"

grub-install --target=i386-pc "$disk"
# Under the name that every firmware looks for; nothing is noted in the variables of this machine's firmware.
grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram
update-grub
