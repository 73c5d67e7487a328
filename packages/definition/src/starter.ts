/** A small definition that builds as it is, and shows where things go. */
export function starterDefinition(name: string): string {
  return `# What this appliance is. All keys: docs/definitions.md.
# Check it with \`polyvisor validate ${name}\`, build it with \`polyvisor build ${name}\`.
# Help in the editor: write \`polyvisor schema\` to a file and name that file in a first line such as
#   # yaml-language-server: $schema=./definition.schema.json

name: ${name}
version: 0.1.0
description: A server made of Debian packages.

disk:
  size: 4G

# Instead of packages: an installer with answers to its questions, or a disk that exists. Several sources make a list.
source:
  packages:
    suite: bookworm

packages:
  - openssh-server

# Values that differ between builds. Text below uses them as \${name}; every script has them in its environment.
# They come from --var name=value, from --var-file, or from POLYVISOR_VAR_name.
variables:
  admin_key:
    description: Public SSH key of the administrator; without one nobody can log in.
    default: ''

users:
  - name: admin
    ssh-keys: ['\${admin_key}']
    sudo: true

# Copied before the scripts run; paths are relative to this folder.
# files:
#   - from: files/motd
#     to: /etc/motd
#     mode: 0644

# Run in the guest as root, in this order.
scripts:
  - scripts/setup.sh

# Formats to export; \`polyvisor plugins\` lists them and their options. Without any, the command chooses.
# targets:
#   - qcow2
#   - format: ova
#     flavour: virtualbox
`;
}

export const STARTER_SCRIPT = `#!/bin/sh
# Runs in the guest as root, after the packages are installed and the files are copied.
set -eu

echo "setting up $(hostname)"
`;
