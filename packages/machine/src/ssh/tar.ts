/** Headers of the GNU format, which busybox, toybox, bsdtar and GNU tar all read, long names included; pax's they do not. */

const BLOCK = 512;

export interface TarMember {
  /** Relative, without `..`; bytes, for names of Unix are no text. */
  readonly name: Buffer;
  readonly type: 'file' | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** In bytes; 0 for a link. */
  readonly size: number;
  /** In seconds since 1970. */
  readonly time: number;
  /** Of a link. */
  readonly target?: Buffer;
}

/** The header of a member, with what has to come before it when its name or target is long. */
export function tarHeader(member: TarMember): Buffer {
  const { name, target = Buffer.alloc(0) } = member;
  return Buffer.concat([
    ...(name.length > 100 ? [longField('L', name)] : []),
    ...(target.length > 100 ? [longField('K', target)] : []),
    header(member, member.type === 'link' ? '2' : '0'),
  ]);
}

/** What follows a file of that size. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** What ends an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

function longField(type: 'L' | 'K', value: Buffer): Buffer {
  const size = value.length + 1;
  const member = { name: Buffer.from('././@LongLink'), mode: 0, uid: 0, gid: 0, size, time: 0 };
  return Buffer.concat([header(member, type), value, Buffer.alloc(1), tarPadding(size)]);
}

function header(
  { name, mode, uid, gid, size, time, target }: Omit<TarMember, 'type'>,
  type: '0' | '2' | 'L' | 'K',
): Buffer {
  const block = Buffer.alloc(BLOCK);
  name.copy(block, 0, 0, 100);
  number(block, mode & 0o7777, 100, 8);
  number(block, uid, 108, 8);
  number(block, gid, 116, 8);
  number(block, size, 124, 12);
  number(block, time, 136, 12);
  block.write('        ', 148);
  block.write(type, 156);
  target?.copy(block, 157, 0, 100);
  block.write('ustar  \0', 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Octal digits and a zero byte; what they cannot hold in binary, behind a set highest bit. */
function number(block: Buffer, value: number, offset: number, length: number): void {
  const digits = value.toString(8).padStart(length - 1, '0');
  if (digits.length < length) block.write(`${digits}\0`, offset);
  else {
    block.writeBigUInt64BE(BigInt(value), offset + length - 8);
    block[offset] = (block[offset] ?? 0) | 0x80;
  }
}
