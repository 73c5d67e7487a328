import { errorKind, type Finding, type ImageFile, isZero } from '@polyvisor/core';
import { CONSUMERS, error, ESXI, NOBODY, quoted, warning } from './finding.js';
import { namesOf, type OvfDiskEntry } from './ovf-reader.js';
import type { PackageFile } from './package.js';
import { openVmdk } from './vmdk.js';

/** Of a sparse VMDK: the version in its header, that ESXi takes, and the length of a sector. */
const VERSION_AT = 4;
const MAGIC = 'KDMV';
const WANTED_VERSION = 3;
const SECTOR = 512;

/** Every rule about the file of one disk, compared with what the descriptor says of it. */
export async function* diskFileFindings(
  entry: OvfDiskEntry,
  find: (name: string) => Promise<PackageFile | undefined>,
): AsyncGenerator<Finding> {
  const { href, fileSize } = entry;
  if (href === undefined) return;
  let member: PackageFile | undefined;
  try {
    for (const name of namesOf(href)) member ??= name === '' ? undefined : await find(name);
  } catch (failure) {
    if (errorKind(failure) === undefined) throw failure;
  }
  if (member === undefined) {
    yield error('ovf-href', CONSUMERS, 'the descriptor refers to something that is not a file of the appliance', {
      expected: 'the plain name of a file',
      found: quoted(href),
    });
    return;
  }
  const name = quoted(member.name);
  if (fileSize === undefined) {
    yield warning('ovf-file-size', NOBODY, `the descriptor does not give the length of ${name}`);
  } else if (fileSize !== `${member.size}`) {
    yield error('ovf-file-size', ESXI, `the descriptor gives another length for ${name}`, {
      offset: member.offset,
      expected: `${member.size}`,
      found: quoted(fileSize),
    });
  }
  if (entry.gzipped) return; // what is in it shows when it is read
  await using file = await member.open();
  yield* vmdkFindings(file, entry, member);
}

async function* vmdkFindings(
  file: ImageFile,
  { capacity }: OvfDiskEntry,
  { name, offset }: PackageFile,
): AsyncGenerator<Finding> {
  yield* layoutFindings(file, offset, quoted(name));
  try {
    const { disk } = await openVmdk(file);
    const { size } = disk;
    await disk[Symbol.asyncDispose]();
    if (capacity !== undefined && capacity !== size) {
      yield error('ovf-capacity', ESXI, `the descriptor gives another capacity for ${quoted(name)}`, {
        expected: `${size}`,
        found: `${capacity}`,
      });
    }
  } catch (failure) {
    if (errorKind(failure) !== 'format') throw failure;
    yield error('ovf-disk-unreadable', CONSUMERS, (failure as Error).message, { offset });
  }
}

/** ESXi deploys streams of version 3 only, and ovftool finds a wrong digest when something follows the end marker. */
async function* layoutFindings(file: ImageFile, offset: number, name: string): AsyncGenerator<Finding> {
  if (file.size < 2 * SECTOR) return;
  const start = Buffer.alloc(SECTOR);
  await file.read(start, 0);
  if (start.toString('latin1', 0, MAGIC.length) !== MAGIC) return;
  const version = start.readUInt32LE(VERSION_AT);
  if (version !== WANTED_VERSION) {
    const details = { offset: offset + VERSION_AT, expected: `${WANTED_VERSION}`, found: `${version}` };
    yield warning('ovf-vmdk-version', ESXI, `${name} is a VMDK of another version`, details);
  }
  const last = Buffer.alloc(SECTOR);
  const at = file.size - SECTOR;
  await file.read(last, at);
  if (file.size % SECTOR === 0 && isZero(last)) return;
  yield warning('ovf-vmdk-end', ESXI, `${name} does not end with the marker that ends a stream`, {
    offset: offset + at,
    expected: 'a sector of zeros as the last one',
    hint: 'qemu-img leaves it out; convert the disk to ova',
  });
}
