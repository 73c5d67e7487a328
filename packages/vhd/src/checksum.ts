/** One's complement of the 32-bit sum of all bytes, those of the checksum field itself (4 bytes at `field`) left out. */
export function checksum(structure: Uint8Array, field: number): number {
  let sum = 0;
  structure.forEach((byte, index) => {
    if (index < field || index >= field + 4) sum += byte;
  });
  return ~sum >>> 0;
}
