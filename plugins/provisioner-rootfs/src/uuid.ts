/** The 16 bytes of a UUID in the order in which it is written, as file systems store it. */
export function uuidBytes(uuid: string): Uint8Array {
  return new Uint8Array(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
}
