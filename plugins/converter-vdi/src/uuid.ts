/** The first three fields of a UUID are stored as little-endian integers, as Microsoft's GUIDs are: positions of the bytes. */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

export const NULL_UUID = '00000000-0000-0000-0000-000000000000';

/** A UUID out of the 16 bytes at `offset`, in lower case. */
export function readUuid(bytes: Uint8Array, offset: number): string {
  const hex = Buffer.from(ORDER.map((from) => bytes[offset + from] ?? 0)).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The 16 bytes that stand for a UUID in a file. */
export function encodeUuid(uuid: string): Buffer {
  const plain = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  return Buffer.from(ORDER.map((from) => plain[from] ?? 0));
}
