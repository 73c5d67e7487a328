/** Microsoft's order: the first three groups little-endian, the last two as they are read. */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

export const NULL_GUID = '00000000-0000-0000-0000-000000000000';

/** The GUID at an offset, as text in lower case. */
export function readGuid(bytes: Uint8Array, offset: number): string {
  const hex = Buffer.from(ORDER.map((index) => bytes[offset + index] ?? 0)).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** `guid` is text of 32 hexadecimal digits with dashes where they belong. */
export function writeGuid(bytes: Uint8Array, guid: string, offset: number): void {
  const raw = Buffer.from(guid.replaceAll('-', ''), 'hex');
  ORDER.forEach((from, index) => (bytes[offset + index] = raw[from] ?? 0));
}
