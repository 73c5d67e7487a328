import type { Finding } from '@polyvisor/core';
import { CONSUMERS, error, ESXI, NOBODY, quoted, VIRTUALBOX, warning } from './finding.js';
import { hardwareFindings } from './hardware-check.js';
import { capacityOf } from './ovf-reader.js';
import { attribute, child, children, parseXml, type XmlNode } from './xml-reader.js';

const ENVELOPE_1 = 'http://schemas.dmtf.org/ovf/envelope/1';

/** Formats that VirtualBox and VMware know as a VMDK that can be imported. */
const VMDK_FORMAT =
  /^http:\/\/www\.vmware\.com\/(?:interfaces\/)?specifications\/vmdk\.html#(?:streamOptimized|sparse|compressed)$/;

/** Every rule that the descriptor alone breaks. */
export function* descriptorFindings(bytes: Uint8Array): Generator<Finding> {
  const root = parseXml(bytes);
  if (typeof root === 'string') {
    yield error('ovf-xml', CONSUMERS, `the descriptor is not XML that we read: ${root}`);
    return;
  }
  if (root.name !== 'Envelope') {
    yield error('ovf-root', CONSUMERS, 'the root of the descriptor is no Envelope', { found: quoted(root.name) });
    return;
  }
  yield* namespaceFindings(root);
  yield* diskFindings(root);
  const systems = children(root, 'VirtualSystem');
  if (children(root, 'VirtualSystemCollection').length > 0 || systems.length > 1) {
    const hint = 'take the appliance apart, one machine each';
    yield warning('ovf-collection', ESXI, 'the descriptor is of several machines', { hint });
  } else if (systems.length === 0) {
    yield error('ovf-system-missing', CONSUMERS, 'the descriptor describes no machine');
  }
  for (const system of systems) {
    yield* systemFindings(system);
    yield* hardwareFindings(root, system);
  }
}

function* namespaceFindings(root: XmlNode): Generator<Finding> {
  const spaces = [...root.attributes].filter(([key]) => key === 'xmlns' || key.startsWith('xmlns:'));
  if (spaces.some(([, value]) => value === ENVELOPE_1)) return;
  const found = spaces.map(([, value]) => value).find((value) => /ovf\/envelope|schema\/ovf\/1\/envelope/.test(value));
  yield warning('ovf-namespace', ESXI, 'the descriptor is not of OVF 1.x as DMTF has it', {
    expected: ENVELOPE_1,
    found: quoted(found ?? 'no namespace of OVF'),
  });
}

function* diskFindings(root: XmlNode): Generator<Finding> {
  const files = children(root, 'References').flatMap((references) => children(references, 'File'));
  const disks = children(root, 'DiskSection').flatMap((section) => children(section, 'Disk'));
  yield* uniqueFindings('ovf-file-twice', 'two files have the same id', files, 'id');
  yield* uniqueFindings('ovf-disk-twice', 'two disks have the same id', disks, 'diskId');
  const byId = new Map(files.map((file) => [attribute(file, 'id') ?? '', file]));
  if (disks.length === 0) yield warning('ovf-disk-missing', NOBODY, 'the appliance has no disk');
  for (const disk of disks) {
    const name = quoted(attribute(disk, 'diskId') ?? '');
    const reference = attribute(disk, 'fileRef');
    if (reference !== undefined && !byId.has(reference)) {
      const message = `the disk ${name} refers to a file that the descriptor does not have`;
      yield error('ovf-file-ref', CONSUMERS, message, { found: quoted(reference) });
    }
    if (attribute(disk, 'parentRef') !== undefined) {
      yield warning('ovf-disk-parent', CONSUMERS, `the disk ${name} is only the difference to a parent disk`);
    }
    const format = attribute(disk, 'format') ?? '';
    if (reference !== undefined && !VMDK_FORMAT.test(format)) {
      yield warning('ovf-disk-format', CONSUMERS, `the disk ${name} is of a format that is not imported`, {
        expected: 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized',
        found: quoted(format),
      });
    }
    if (capacityOf(disk) === undefined) {
      const units = attribute(disk, 'capacityAllocationUnits') ?? 'byte';
      const found = `${quoted(attribute(disk, 'capacity') ?? '')} in ${quoted(units)}`;
      const expected = 'a number, in byte or byte * 2^n';
      yield error('ovf-disk-capacity', ESXI, `the disk ${name} has no capacity that can be told`, { expected, found });
    }
  }
  for (const file of files) {
    if (attribute(file, 'chunkSize') !== undefined) {
      const found = quoted(attribute(file, 'href') ?? '');
      yield warning('ovf-file-chunked', CONSUMERS, 'a file is split into chunks', { found, hint: 'join them' });
    }
  }
}

function* systemFindings(system: XmlNode): Generator<Finding> {
  const guest = child(system, 'OperatingSystemSection');
  const id = guest === undefined ? undefined : attribute(guest, 'id');
  if (guest !== undefined && !/^\d+$/.test(id ?? '')) {
    const details = { expected: 'a number of the CIM list', found: quoted(id ?? '') };
    yield error('ovf-guest-id', VIRTUALBOX, 'the operating system has no number', details);
  }
}

export function* uniqueFindings(
  rule: string,
  message: string,
  nodes: readonly XmlNode[],
  name: string,
): Generator<Finding> {
  const seen = new Set<string>();
  for (const node of nodes) {
    const value = attribute(node, name) ?? '';
    if (seen.has(value)) yield error(rule, CONSUMERS, message, { found: quoted(value) });
    seen.add(value);
  }
}
