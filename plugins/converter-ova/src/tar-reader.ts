import { FormatError, type FormatErrorDetails, type ImageFile, isZero, roundUp } from '@polyvisor/core';
import { BASE_256, GNU_MAGIC, POSIX_MAGIC, TAR, TAR_BLOCK, tarChecksum } from './tar.js';

/** A member of an archive and where its content lies, in bytes from the start of the file. */
export interface ArchiveMember {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** Members beyond which an archive is taken for something else; an OVA has three, plus one per disk. */
export const MAX_MEMBERS = 100;

/** Zeros behind the last member: tar pads to 10 KiB, and VirtualBox tolerates 130 blocks. */
export const MAX_TRAILER = 130 * TAR_BLOCK;

/** Base names of printable ASCII. Separators of any system, and a colon, would be a path somewhere. */
const SAFE_NAME = /^(?!\.{1,2}$)[\x20-\x7e]+$/;
const UNSAFE = /[/\\:*?"<>|]/;

/** Whether the file starts with a tar header, and whose. */
export async function firstMemberName(file: ImageFile): Promise<string | undefined> {
  if (file.size < TAR_BLOCK) return undefined;
  const header = await readBlock(file, 0);
  return isHeader(header) ? text(header, TAR.name) : undefined;
}

/**
 * Lists a plain archive of regular files. Whatever could mean something else to another reader is refused: links and
 * devices, paths, names that occur twice (also but for their case), pax, sparse and long-name records, numbers that
 * are not what they should be, data behind the end.
 */
export async function listArchive(file: ImageFile): Promise<readonly ArchiveMember[]> {
  const members: ArchiveMember[] = [];
  const names = new Set<string>();
  let offset = 0;
  while (offset < file.size) {
    if (offset + TAR_BLOCK > file.size) {
      throw bad(file, 'the archive ends within a block', { offset, hint: 'the file is cut short' });
    }
    const header = await readBlock(file, offset);
    if (isZero(header)) break;
    const member = readMember(file, header, offset);
    if (names.has(member.name.toLowerCase())) {
      throw bad(file, `the archive has two members named ${JSON.stringify(member.name)}`, { offset });
    }
    names.add(member.name.toLowerCase());
    members.push(member);
    if (members.length > MAX_MEMBERS) throw bad(file, `the archive has more than ${MAX_MEMBERS} members`, { offset });
    offset = member.offset + roundUp(member.size, TAR_BLOCK);
  }
  await checkTrailer(file, offset);
  return members;
}

/** Zeros must follow the last member, two blocks at least by the book; VirtualBox writes none at all. */
async function checkTrailer(file: ImageFile, offset: number): Promise<void> {
  const length = file.size - offset;
  if (length < 0 || length > MAX_TRAILER) {
    throw bad(file, 'the archive does not end where it should', {
      offset,
      expected: `at most ${MAX_TRAILER} bytes of zeros`,
      found: `${length} bytes`,
    });
  }
  const rest = new Uint8Array(length);
  await file.read(rest, offset);
  if (!isZero(rest)) throw bad(file, 'there is data behind the end of the archive', { offset });
}

/** Whether a name is that of a file and nothing else, on every system. */
export function isPlainName(name: string): boolean {
  return SAFE_NAME.test(name) && !UNSAFE.test(name);
}

/** A header as it stands in the archive, believed in nothing yet. */
export interface TarHeader {
  /** Magic and checksum are right. */
  readonly sound: boolean;
  readonly name: string;
  readonly prefix: string;
  readonly type: string;
  /** In bytes; undefined when the field holds no number. */
  readonly size: number | undefined;
}

export async function readTarHeader(file: ImageFile, offset: number): Promise<TarHeader | undefined> {
  const header = await readBlock(file, offset);
  if (isZero(header)) return undefined;
  const posix = header.toString('latin1', TAR.magic.at, TAR.magic.at + 6) === POSIX_MAGIC;
  return {
    sound: isHeader(header),
    name: text(header, TAR.name),
    prefix: posix ? text(header, TAR.prefix) : '',
    type: header.toString('latin1', TAR.type.at, TAR.type.at + 1),
    size: readNumber(header.subarray(TAR.length.at, TAR.length.at + TAR.length.size)),
  };
}

function readMember(file: ImageFile, header: Buffer, offset: number): ArchiveMember {
  if (!isHeader(header)) {
    throw bad(file, 'not a tar header, or a damaged one', {
      offset,
      expected: `"ustar" and the checksum ${tarChecksum(header)}`,
      found: JSON.stringify(text(header, TAR.magic)),
    });
  }
  const name = text(header, TAR.name);
  const type = header.toString('latin1', TAR.type.at, TAR.type.at + 1);
  if (type !== '0' && type !== '\0') {
    throw bad(file, `the member ${JSON.stringify(name)} is not a regular file`, {
      offset: offset + TAR.type.at,
      expected: 'type 0',
      found: `type ${JSON.stringify(type)}`,
      hint: 'links, directories, sparse files and pax records have no place in an OVA; GNU tar makes one with --format=gnu',
    });
  }
  const prefixed =
    header.toString('latin1', TAR.magic.at, TAR.magic.at + 6) === POSIX_MAGIC && text(header, TAR.prefix) !== '';
  if (prefixed || !isPlainName(name)) {
    throw bad(file, `the member name ${JSON.stringify(name)} is not a plain file name`, { offset });
  }
  const size = readNumber(header.subarray(TAR.length.at, TAR.length.at + TAR.length.size));
  if (size === undefined || offset + TAR_BLOCK + size > file.size) {
    throw bad(file, `the member ${JSON.stringify(name)} has an impossible size`, {
      offset: offset + TAR.length.at,
      expected: `at most ${file.size - offset - TAR_BLOCK} bytes, the rest of the file`,
      found: size === undefined ? header.toString('hex', TAR.length.at, TAR.length.at + TAR.length.size) : `${size}`,
    });
  }
  return { name, offset: offset + TAR_BLOCK, size };
}

function isHeader(header: Buffer): boolean {
  const magic = header.toString('latin1', TAR.magic.at, TAR.magic.at + TAR.magic.size);
  if (magic !== GNU_MAGIC && !magic.startsWith(POSIX_MAGIC)) return false;
  return readNumber(header.subarray(TAR.checksum.at, TAR.checksum.at + TAR.checksum.size)) === tarChecksum(header);
}

/** Octal digits, or GNU's base 256. Undefined for anything else: negative, empty, or beyond what a number holds. */
function readNumber(field: Buffer): number | undefined {
  if (field[0] === BASE_256) {
    const value = BigInt(`0x${field.toString('hex', 1)}`);
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : undefined;
  }
  const digits = /^ *([0-7]+)[ \0]*$/.exec(field.toString('latin1'))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function text(header: Buffer, { at, size }: { readonly at: number; readonly size: number }): string {
  const field = header.subarray(at, at + size);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end < 0 ? size : end);
}

async function readBlock(file: ImageFile, offset: number): Promise<Buffer> {
  const block = Buffer.alloc(TAR_BLOCK);
  await file.read(block, offset);
  return block;
}

function bad(file: ImageFile, what: string, details: FormatErrorDetails): FormatError {
  return new FormatError('ova-archive-invalid', what, { file: file.path, ...details });
}
