import { FormatError } from '@polyvisor/core';
import type { ArchiveMember } from './tar-reader.js';
import { attribute, child, children, parseXml, printable, type XmlNode } from './xml-reader.js';

/** What a reader needs of a descriptor. */
export interface Ovf {
  readonly disk: ArchiveMember;
  /** Capacity that the descriptor gives, in bytes; undefined when it is absent or in units that we do not know. */
  readonly capacity: number | undefined;
  readonly machine: string | undefined;
  readonly systemType: string | undefined;
  readonly guest: string | undefined;
}

/** Reads a descriptor and finds the member that holds its one disk. `path` is for messages. */
export function readOvf(path: string, bytes: Uint8Array, members: readonly ArchiveMember[]): Ovf {
  const root = parseXml(bytes);
  if (typeof root === 'string') throw invalid(path, `the descriptor is not XML that we read: ${root}`);
  if (root.name !== 'Envelope')
    throw invalid(path, `the descriptor's root is ${printable(root.name)}, not an Envelope`);
  const system = child(root, 'VirtualSystem');
  if (system === undefined) {
    throw unsupported(
      path,
      'the descriptor does not describe exactly one machine',
      'an appliance of several machines has to be taken apart first',
    );
  }
  const disk = onlyDisk(path, root);
  const hardware = child(system, 'VirtualHardwareSection');
  return {
    disk: memberOf(path, root, disk, members),
    capacity: capacityOf(disk),
    machine: shown(child(system, 'Name')?.text ?? attribute(system, 'id')),
    systemType: shown(child(child(hardware, 'System'), 'VirtualSystemType')?.text),
    guest: shown(child(child(system, 'OperatingSystemSection'), 'Description')?.text),
  };
}

function onlyDisk(path: string, root: XmlNode): XmlNode {
  const disks = children(root, 'DiskSection').flatMap((section) => children(section, 'Disk'));
  const [disk] = disks;
  if (disk === undefined) throw unsupported(path, 'the appliance has no disk');
  if (disks.length > 1) {
    throw unsupported(
      path,
      `the appliance has ${disks.length} disks, only appliances with one are read for now`,
      'unpack it with tar and convert its disks one by one',
    );
  }
  if (attribute(disk, 'parentRef') !== undefined)
    throw unsupported(path, 'the disk is only the difference to a parent disk');
  const format = attribute(disk, 'format') ?? '';
  if (format !== '' && !/vmdk/i.test(format))
    throw unsupported(path, `the disk is of format ${JSON.stringify(format.slice(0, 100))}, only VMDK is read`);
  return disk;
}

/** Follows the disk's reference to a file, and the file's to a member of the archive; never to anything outside. */
function memberOf(path: string, root: XmlNode, disk: XmlNode, members: readonly ArchiveMember[]): ArchiveMember {
  const files = new Map<string, XmlNode>();
  for (const file of children(root, 'References').flatMap((references) => children(references, 'File'))) {
    const id = attribute(file, 'id') ?? '';
    if (files.has(id)) throw invalid(path, `the descriptor has two files of id ${JSON.stringify(id.slice(0, 100))}`);
    files.set(id, file);
  }
  const reference = attribute(disk, 'fileRef');
  if (reference === undefined) throw unsupported(path, 'the disk has no file, it is to be made empty');
  const file = files.get(reference);
  if (file === undefined)
    throw invalid(
      path,
      `the disk refers to the file ${JSON.stringify(reference.slice(0, 100))}, which the descriptor does not have`,
    );
  const compression = attribute(file, 'compression') ?? 'identity';
  if (compression !== '' && compression !== 'identity') {
    throw unsupported(
      path,
      `the disk is compressed once more, as ${JSON.stringify(compression.slice(0, 100))}`,
      'unpack it with tar and gunzip, and convert the VMDK',
    );
  }
  if (attribute(file, 'chunkSize') !== undefined)
    throw unsupported(
      path,
      'the disk is split into chunks',
      'unpack it with tar, join the chunks and convert the VMDK',
    );
  const href = attribute(file, 'href') ?? '';
  const member = members.find(({ name }) => name === href) ?? members.find(({ name }) => name === decoded(href));
  if (member === undefined)
    throw invalid(
      path,
      `the descriptor refers to ${JSON.stringify(href.slice(0, 100))}, which is not a member of the archive`,
    );
  const size = attribute(file, 'size');
  if (size !== undefined && size !== `${member.size}`) {
    throw new FormatError('ova-invalid', `the descriptor gives another size for ${member.name} than the archive`, {
      file: path,
      offset: member.offset,
      expected: size.slice(0, 100),
      found: `${member.size}`,
    });
  }
  return member;
}

/** In bytes. Units are `byte`, or `byte * 2^n`; older writers have words. */
function capacityOf(disk: XmlNode): number | undefined {
  const capacity = Number(attribute(disk, 'capacity') ?? Number.NaN);
  const units = attribute(disk, 'capacityAllocationUnits') ?? 'byte';
  const power = /^byte\s*\*\s*2\^(\d{1,2})$/.exec(units)?.[1];
  const unit = units === 'byte' ? 1 : power === undefined ? Number.NaN : 2 ** Number(power);
  const bytes = capacity * unit;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function shown(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : printable(text.trim());
}

/** Percent-encoding undone, once. */
function decoded(href: string): string {
  try {
    return decodeURIComponent(href);
  } catch {
    return href;
  }
}

function invalid(file: string, what: string): FormatError {
  return new FormatError('ova-invalid', what, { file });
}

function unsupported(file: string, what: string, hint?: string): FormatError {
  return new FormatError('ova-unsupported', what, { file, hint });
}
