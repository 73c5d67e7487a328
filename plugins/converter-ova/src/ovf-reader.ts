import { FormatError } from '@polyvisor/core';
import { attribute, child, children, parseXml, printable, type XmlNode } from './xml-reader.js';

/** A disk as a descriptor has it. All of it is text from the file. */
export interface OvfDiskEntry {
  /** `ovf:diskId`. */
  readonly id: string;
  /** Name of its file, as the descriptor writes it; undefined when it is to be made empty. */
  readonly href: string | undefined;
  /** Length of the file that the descriptor gives. */
  readonly fileSize: string | undefined;
  readonly gzipped: boolean;
  /** Capacity that the descriptor gives, in bytes; undefined when it is absent or in units that we do not know. */
  readonly capacity: number | undefined;
  /** Why the disk cannot be read, and what to do about it; undefined when it can. */
  readonly problem:
    { readonly code: 'ova-invalid' | 'ova-unsupported'; readonly what: string; readonly hint?: string } | undefined;
}

/** What a reader needs of a descriptor. */
export interface Ovf {
  /** In the order of the descriptor; at least one. */
  readonly disks: readonly OvfDiskEntry[];
  readonly machine: string | undefined;
  readonly systemType: string | undefined;
  readonly guest: string | undefined;
}

/** Disks beyond which a descriptor is taken for something else; four controllers of 30 are the most that VMware has. */
const MAX_DISKS = 256;

/** Reads a descriptor. `path` is for messages. */
export function readOvf(path: string, bytes: Uint8Array): Ovf {
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
  const hardware = child(system, 'VirtualHardwareSection');
  return {
    disks: disksOf(path, root),
    machine: shown(child(system, 'Name')?.text ?? attribute(system, 'id')),
    systemType: shown(child(child(hardware, 'System'), 'VirtualSystemType')?.text),
    guest: shown(child(child(system, 'OperatingSystemSection'), 'Description')?.text),
  };
}

function disksOf(path: string, root: XmlNode): readonly OvfDiskEntry[] {
  const nodes = children(root, 'DiskSection').flatMap((section) => children(section, 'Disk'));
  if (nodes.length === 0) throw unsupported(path, 'the appliance has no disk');
  if (nodes.length > MAX_DISKS)
    throw unsupported(path, `the appliance has ${nodes.length} disks, more than anything holds`);
  const files = new Map<string, XmlNode>();
  for (const file of children(root, 'References').flatMap((references) => children(references, 'File'))) {
    const id = attribute(file, 'id') ?? '';
    if (files.has(id)) throw invalid(path, `the descriptor has two files of id ${JSON.stringify(id.slice(0, 100))}`);
    files.set(id, file);
  }
  const ids = new Set<string>();
  return nodes.map((node) => {
    const id = attribute(node, 'diskId') ?? '';
    if (ids.has(id)) throw invalid(path, `the descriptor has two disks of id ${JSON.stringify(id.slice(0, 100))}`);
    ids.add(id);
    return diskOf(node, id, files);
  });
}

/** Follows a disk's reference to a file of the descriptor; what is wrong matters only once the disk is asked for. */
function diskOf(disk: XmlNode, id: string, files: ReadonlyMap<string, XmlNode>): OvfDiskEntry {
  const reference = attribute(disk, 'fileRef');
  const file = reference === undefined ? undefined : files.get(reference);
  const compression = (file === undefined ? undefined : attribute(file, 'compression')) ?? 'identity';
  return {
    id,
    href: file === undefined ? undefined : (attribute(file, 'href') ?? ''),
    fileSize: file === undefined ? undefined : attribute(file, 'size'),
    gzipped: compression === 'gzip',
    capacity: capacityOf(disk),
    problem: problemOf(disk, reference, file, compression),
  };
}

function problemOf(
  disk: XmlNode,
  reference: string | undefined,
  file: XmlNode | undefined,
  compression: string,
): OvfDiskEntry['problem'] {
  const quoted = (text: string) => JSON.stringify(text.slice(0, 100));
  if (attribute(disk, 'parentRef') !== undefined)
    return { code: 'ova-unsupported', what: 'the disk is only the difference to a parent disk' };
  const format = attribute(disk, 'format') ?? '';
  if (format !== '' && !/vmdk/i.test(format))
    return { code: 'ova-unsupported', what: `the disk is of format ${quoted(format)}, only VMDK is read` };
  if (reference === undefined) return { code: 'ova-unsupported', what: 'the disk has no file, it is to be made empty' };
  if (file === undefined) {
    const what = `the disk refers to the file ${quoted(reference)}, which the descriptor does not have`;
    return { code: 'ova-invalid', what };
  }
  if (compression !== '' && compression !== 'identity' && compression !== 'gzip') {
    const what = `the disk is compressed once more, as ${quoted(compression)}`;
    return { code: 'ova-unsupported', what, hint: 'unpack it with tar, decompress it, and convert the VMDK' };
  }
  if (attribute(file, 'chunkSize') !== undefined) {
    const hint = 'unpack it with tar, join the chunks and convert the VMDK';
    return { code: 'ova-unsupported', what: 'the disk is split into chunks', hint };
  }
  return undefined;
}

/** In bytes. Units are `byte`, or `byte * 2^n`; older writers have words. */
export function capacityOf(disk: XmlNode): number | undefined {
  const capacity = attribute(disk, 'capacity') ?? '';
  const units = attribute(disk, 'capacityAllocationUnits') ?? 'byte';
  const power = /^byte\s*\*\s*2\^(\d{1,2})$/.exec(units)?.[1];
  const unit = units === 'byte' ? 1 : power === undefined ? Number.NaN : 2 ** Number(power);
  const bytes = /^\d{1,19}$/.test(capacity) ? Number(capacity) * unit : Number.NaN;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Names under which a reference may be found: as it is written, and with its percent-encoding undone, once. */
export function namesOf(href: string): readonly string[] {
  const decoded = decode(href);
  return decoded === href ? [href] : [href, decoded];
}

function decode(href: string): string {
  try {
    return decodeURIComponent(href);
  } catch {
    return href;
  }
}

function shown(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : printable(text.trim());
}

function invalid(file: string, what: string): FormatError {
  return new FormatError('ova-invalid', what, { file });
}

function unsupported(file: string, what: string, hint?: string): FormatError {
  return new FormatError('ova-unsupported', what, { file, hint });
}
