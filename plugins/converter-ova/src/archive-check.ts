import { type Finding, type ImageFile, isZero, roundUp } from '@polyvisor/core';
import { CONSUMERS, error, ESXI, NOBODY, quoted, VIRTUALBOX, warning } from './finding.js';
import { TAR, TAR_BLOCK } from './tar.js';
import {
  type ArchiveMember,
  isPlainName,
  MAX_MEMBERS,
  MAX_TRAILER,
  readTarHeader,
  type TarHeader,
} from './tar-reader.js';

/** Bytes of zeros that end an archive by the book. */
const TRAILER = 2 * TAR_BLOCK;

/** Names for the types of member that have no place in an OVA. */
const TYPES: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a device',
  '4': 'a device',
  '5': 'a directory',
  '6': 'a pipe',
  g: 'pax records',
  x: 'pax records',
  L: 'a long name',
  K: 'a long name',
  S: 'a sparse file',
};

/** Goes over an archive and says what is wrong with it. Gathers into `members` what is regular, for whoever goes on. */
export async function* archiveFindings(file: ImageFile, members: ArchiveMember[]): AsyncGenerator<Finding> {
  const names = new Set<string>();
  let offset = 0;
  while (offset + TAR_BLOCK <= file.size) {
    const header = await readTarHeader(file, offset);
    if (header === undefined) break;
    yield* headerFindings(header, offset, names);
    names.add(header.name.toLowerCase());
    const { size } = header;
    const room = file.size - offset - TAR_BLOCK;
    if (size === undefined || size > room) {
      const found = size === undefined ? 'no number' : `${size}`;
      const details = { offset: offset + TAR.length.at, expected: `at most ${room} bytes`, found };
      yield error('ova-member-size', CONSUMERS, `the member ${quoted(header.name)} has an impossible size`, details);
      return;
    }
    if (header.type === '0' || header.type === '\0')
      members.push({ name: header.name, offset: offset + TAR_BLOCK, size });
    if (!header.sound) return; // what follows it may be anywhere
    if (members.length > MAX_MEMBERS) {
      yield error('ova-member-count', NOBODY, 'the archive has more members than any OVA', { offset });
      return;
    }
    offset += TAR_BLOCK + roundUp(size, TAR_BLOCK);
  }
  yield* trailerFindings(file, offset);
  yield* orderFindings(members);
}

function* headerFindings(header: TarHeader, offset: number, names: ReadonlySet<string>): Generator<Finding> {
  const { name, type, prefix, sound } = header;
  if (!sound) {
    const message = 'not a tar header, or a damaged one';
    yield error('ova-header', CONSUMERS, message, { offset, expected: '"ustar" and a right checksum' });
    return;
  }
  if (type !== '0' && type !== '\0') {
    const hint = 'pack it again with `tar --format=gnu`, plain files only';
    const found = TYPES[type] ?? `type ${quoted(type)}`;
    const message = `the member ${quoted(name)} is not a regular file`;
    yield error('ova-member-type', CONSUMERS, message, {
      offset: offset + TAR.type.at,
      expected: 'type 0',
      found,
      hint,
    });
    return;
  }
  if (prefix !== '' || !isPlainName(name)) {
    const found = quoted(prefix === '' ? name : `${prefix}/${name}`);
    const message = 'a member has a name that is a path, or not plain ASCII';
    yield error('ova-member-name', CONSUMERS, message, { offset, expected: 'a plain file name', found });
  }
  if (names.has(name.toLowerCase())) {
    const message = 'two members have the same name, or names that differ in case only';
    yield error('ova-member-twice', CONSUMERS, message, { offset, found: quoted(name) });
  }
}

async function* trailerFindings(file: ImageFile, offset: number): AsyncGenerator<Finding> {
  const length = file.size - offset;
  if (length < 0 || length % TAR_BLOCK !== 0) {
    yield error('ova-truncated', CONSUMERS, 'the archive ends within a block', {
      offset: Math.min(offset, file.size),
      hint: 'the file is cut short; get it once more',
    });
    return;
  }
  if (length < TRAILER) {
    // VirtualBox's own exports lack it, and it reads them.
    const message = 'the zeros that end an archive are missing';
    yield warning('ova-trailer', NOBODY, message, { offset, expected: `${TRAILER} bytes`, found: `${length}` });
    return;
  }
  const rest = new Uint8Array(Math.min(length, MAX_TRAILER));
  await file.read(rest, offset);
  if (!isZero(rest)) {
    const message = 'there is data behind the end of the archive';
    yield error('ova-appended', VIRTUALBOX, message, {
      offset,
      hint: 'another archive was appended, or the file is damaged',
    });
  } else if (length > MAX_TRAILER) {
    const message = 'more zeros follow the archive than VirtualBox reads';
    yield warning('ova-trailer-long', VIRTUALBOX, message, {
      offset,
      expected: `at most ${MAX_TRAILER}`,
      found: `${length}`,
    });
  }
}

function* orderFindings(members: readonly ArchiveMember[]): Generator<Finding> {
  const kind = (name: string) => /\.(ovf|mf|cert)$/i.exec(name)?.[1]?.toLowerCase() ?? 'disk';
  const kinds = members.map(({ name }) => kind(name));
  if (kinds.includes('ovf') && kinds[0] !== 'ovf') {
    yield error('ova-order', ESXI, 'the descriptor is not the first member', {
      offset: members[0]?.offset ?? 0,
      expected: 'an .ovf',
      found: quoted(members[0]?.name ?? ''),
      hint: 'pack the files again, the .ovf first',
    });
  }
  const disks = kinds.filter((each) => each === 'disk').length;
  const between = kinds.findIndex((each, index) => {
    const before = kinds.slice(0, index).filter((other) => other === 'disk').length;
    return (each === 'mf' || each === 'cert') && before > 0 && before < disks;
  });
  if (between >= 0) {
    yield warning('ova-manifest-place', ESXI, 'the manifest or certificate is between the disks', {
      offset: members[between]?.offset ?? 0,
      expected: 'right behind the descriptor, or at the end',
      found: quoted(members[between]?.name ?? ''),
    });
  }
}
