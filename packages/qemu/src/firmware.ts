import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EnvironmentError } from '@polyvisor/core';
import type { UefiFiles } from './arguments.js';

/** Where distributions put OVMF: code and an empty variable store, newest layout first. */
const OVMF_FILES: readonly (readonly [code: string, variables: string])[] = [
  ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'], // Debian, Ubuntu
  ['/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/OVMF/OVMF_VARS.fd'], // Debian until 11; Alpine
  ['/usr/share/edk2/ovmf/OVMF_CODE.fd', '/usr/share/edk2/ovmf/OVMF_VARS.fd'], // Fedora, CentOS, RHEL
  ['/usr/share/edk2/x64/OVMF_CODE.4m.fd', '/usr/share/edk2/x64/OVMF_VARS.4m.fd'], // Arch
  ['/usr/share/qemu/ovmf-x86_64-code.bin', '/usr/share/qemu/ovmf-x86_64-vars.bin'], // openSUSE
  ['/usr/share/edk2-ovmf/x64/OVMF_CODE.fd', '/usr/share/edk2-ovmf/x64/OVMF_VARS.fd'], // Gentoo, older Arch
];

/** The first pair that is complete, or undefined. */
export function findUefi(candidates = OVMF_FILES): UefiFiles | undefined {
  const found = candidates.find(([code, variables]) => existsSync(code) && existsSync(variables));
  return found === undefined ? undefined : { code: found[0], variables: found[1] };
}

/** Finds OVMF and copies its variable store to `workDir`, since the guest writes to it. */
export async function prepareUefi(workDir: string, candidates = OVMF_FILES): Promise<UefiFiles> {
  const found = findUefi(candidates);
  if (found === undefined) {
    throw new EnvironmentError(
      'firmware-missing',
      `no UEFI firmware for QEMU found; looked for ${candidates.map(([code]) => code).join(', ')}`,
      {
        hint: 'install OVMF (Debian: `apt-get install ovmf`), or boot under BIOS',
      },
    );
  }
  const variables = join(workDir, 'uefi-variables.fd');
  await copyFile(found.variables, variables);
  return { code: found.code, variables };
}
