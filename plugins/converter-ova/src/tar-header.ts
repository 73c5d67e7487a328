import { BASE_256, GNU_MAGIC, MAX_OCTAL_SIZE, TAR, TAR_BLOCK, tarChecksum } from './tar.js';

export interface TarMember {
  /** A base name of at most 99 ASCII characters. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** In seconds since the Unix epoch. */
  readonly modified: number;
}

/** The header of a regular file. Owner and mode are constants: they are nobody's on the machine that imports. */
export function encodeTarHeader({ name, size, modified }: TarMember): Buffer {
  const header = Buffer.alloc(TAR_BLOCK);
  const octal = (field: { at: number; size: number }, value: number) =>
    header.write(value.toString(8).padStart(field.size - 1, '0'), field.at, 'latin1');
  header.write(name, TAR.name.at, TAR.name.size - 1, 'latin1');
  octal(TAR.mode, 0o644);
  octal(TAR.user, 0);
  octal(TAR.group, 0);
  if (size <= MAX_OCTAL_SIZE) {
    octal(TAR.length, size);
  } else {
    header.writeUInt8(BASE_256, TAR.length.at);
    header.writeBigUInt64BE(BigInt(size), TAR.length.at + TAR.length.size - 8);
  }
  octal(TAR.modified, modified);
  header.write('0', TAR.type.at, 'latin1');
  header.write(GNU_MAGIC, TAR.magic.at, 'latin1');
  header.write(`${tarChecksum(header).toString(8).padStart(6, '0')}\0 `, TAR.checksum.at, 'latin1');
  return header;
}
