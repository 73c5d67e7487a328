/**
 * Names of files in Linux are bytes and need not be text in any encoding. Here each byte is one character, so that every
 * name comes out as it went in; lists of names are read and written in this encoding.
 */
export const NAME_BYTES = 'latin1';

/** A path of this machine, as Node has it, in that form. */
export function nameBytes(path: string): string {
  return Buffer.from(path).toString(NAME_BYTES);
}

/** A name for people to read. */
export function readableName(name: string): string {
  return Buffer.from(name, NAME_BYTES).toString();
}
