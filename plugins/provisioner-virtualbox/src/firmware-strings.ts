import { EnvironmentError, type MachineSpec } from '@polyvisor/core';

/** Names of the OEM strings in VirtualBox's SMBIOS tables, which have two of them. */
const NAMES = ['DmiOEMVBoxVer', 'DmiOEMVBoxRev'] as const;

/** Of one string, in bytes: more does not fit into what VirtualBox reads it into. */
const LONGEST = 255;

/** Extra data that puts the strings into the guest's table of OEM strings (SMBIOS type 11): pairs of key and value. */
export function firmwareSettings({
  name,
  firmware,
  firmwareStrings,
}: MachineSpec): readonly (readonly [string, string])[] {
  const long = firmwareStrings.find((text) => Buffer.byteLength(text) > LONGEST);
  if (firmwareStrings.length > NAMES.length || long !== undefined) {
    const what =
      long === undefined ? `${firmwareStrings.length} strings` : `a string of ${Buffer.byteLength(long)} bytes`;
    throw new EnvironmentError(
      'firmware-strings',
      `the firmware of VirtualBox shows its guests ${NAMES.length} strings of at most ${LONGEST} bytes, and ${name} is to see ${what}`,
      { hint: 'give the guest what it needs on a seed medium instead' },
    );
  }
  const device = firmware === 'uefi' ? 'efi' : 'pcbios';
  return firmwareStrings.map((text, index) => [
    `VBoxInternal/Devices/${device}/0/Config/${NAMES[index] ?? ''}`,
    // Otherwise what looks like a number would become one.
    `string:${text}`,
  ]);
}
