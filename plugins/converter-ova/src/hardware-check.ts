import type { Finding } from '@polyvisor/core';
import { CONSUMERS, error, ESXI, NOBODY, quoted, VIRTUALBOX, warning } from './finding.js';
import { attribute, child, children, type XmlNode } from './xml-reader.js';

/** CIM resource types that every importer knows: CPU, memory, controllers, network, drives, disk, sound, USB and more. */
const KNOWN_TYPES = new Set([3, 4, 5, 6, 10, 14, 15, 16, 17, 20, 23, 24, 35]);

const TYPE = { memory: 4, ide: 5, scsi: 6, disk: 17, otherStorage: 20 } as const;

/** The only unit of memory that VMware, VirtualBox and virt-v2v all read. */
const MEBIBYTES = 'byte * 2^20';

/** Controllers of a kind that VirtualBox imports; disks on further ones are lost. */
const VIRTUALBOX_CONTROLLERS: readonly (readonly [type: number, name: string, most: number])[] = [
  [TYPE.scsi, 'SCSI', 1],
  [TYPE.ide, 'IDE', 2],
];

interface Item {
  readonly node: XmlNode;
  readonly name: string;
  readonly type: number;
  readonly subtype: string;
}

/** Every rule of a machine's virtual hardware. */
export function* hardwareFindings(root: XmlNode, system: XmlNode): Generator<Finding> {
  const hardware = child(system, 'VirtualHardwareSection');
  if (hardware === undefined) {
    yield error('ovf-hardware-missing', CONSUMERS, 'the machine has no hardware, or more than one set of it');
    return;
  }
  yield* typeFindings(child(child(hardware, 'System'), 'VirtualSystemType')?.text.trim());
  const items = ['Item', 'StorageItem', 'EthernetPortItem'].flatMap((kind) => children(hardware, kind)).map(itemOf);
  yield* itemFindings(items);
  yield* referenceFindings(root, items);
  yield* controllerFindings(items);
}

function itemOf(node: XmlNode): Item {
  return {
    node,
    name: quoted(child(node, 'ElementName')?.text ?? ''),
    type: Number(child(node, 'ResourceType')?.text.trim() ?? Number.NaN),
    subtype: child(node, 'ResourceSubType')?.text.trim() ?? '',
  };
}

function* typeFindings(type: string | undefined): Generator<Finding> {
  const words = (type ?? '').split(/\s+/);
  if (words.some((word) => /^vmx-\d+$/.test(word))) return;
  yield warning('ovf-system-type', ESXI, 'the machine is of no hardware version of VMware', {
    expected: 'vmx-13 or another vmx-N',
    found: quoted(type ?? ''),
    hint: 'convert the disk to ova with flavour=vmware',
  });
}

function* itemFindings(items: readonly Item[]): Generator<Finding> {
  const ids = new Set<string>();
  for (const { node, name, type } of items) {
    const properties = node.children.map((each) => each.name).filter((each) => !VENDOR.test(each));
    const sorted = [...properties].sort();
    const misplaced = properties.find((each, index) => each !== sorted[index]);
    if (misplaced !== undefined && node.name === 'Item') {
      const message = `the properties of ${name} are not in alphabetical order`;
      yield error('ovf-item-order', ESXI, message, {
        expected: sorted.join(', '),
        found: quoted(properties.join(', ')),
      });
    }
    const id = child(node, 'InstanceID')?.text.trim();
    if (id === undefined || ids.has(id)) {
      const message = `the item ${name} has no InstanceID of its own`;
      yield error('ovf-instance-id', CONSUMERS, message, { found: quoted(id ?? '') });
    }
    if (id !== undefined) ids.add(id);
    if (!KNOWN_TYPES.has(type) && attribute(node, 'required') !== 'false') {
      yield error('ovf-item-unknown', CONSUMERS, `the item ${name} is of a kind that importers do not know`, {
        expected: 'ovf:required="false"',
        found: `ResourceType ${quoted(child(node, 'ResourceType')?.text ?? '')}`,
      });
    }
    if (type === TYPE.memory) yield* memoryFindings(node);
  }
}

/** Elements of vendors, which may stand anywhere behind the others. */
const VENDOR = /^(?:CoresPerSocket|Config)$/;

function* memoryFindings(node: XmlNode): Generator<Finding> {
  const units = child(node, 'AllocationUnits')?.text.trim() ?? '';
  if (units === MEBIBYTES) return;
  const refusedBy = units === 'MegaBytes' || units === 'MB' ? NOBODY : VIRTUALBOX;
  const message = 'the memory is in units that not every importer reads';
  yield warning('ovf-memory-units', refusedBy, message, { expected: MEBIBYTES, found: quoted(units) });
}

function* referenceFindings(root: XmlNode, items: readonly Item[]): Generator<Finding> {
  const ids = new Set(items.map(({ node }) => child(node, 'InstanceID')?.text.trim()));
  const values = (section: string, element: string, name: string) =>
    new Set(
      children(root, section)
        .flatMap((each) => children(each, element))
        .map((each) => attribute(each, name)),
    );
  const known = { disk: values('DiskSection', 'Disk', 'diskId'), file: values('References', 'File', 'id') };
  const networks = values('NetworkSection', 'Network', 'name');
  for (const { node, name } of items) {
    const parent = child(node, 'Parent')?.text.trim();
    if (parent !== undefined && !ids.has(parent)) {
      yield error('ovf-parent', CONSUMERS, `the item ${name} is attached to one that is not there`, {
        found: quoted(parent),
      });
    }
    for (const { text } of children(node, 'HostResource')) {
      const [, kind, id] = /^(?:ovf:\/?)?\/(disk|file)\/(.+)$/.exec(text.trim()) ?? [];
      if (kind !== undefined && known[kind as keyof typeof known].has(id)) continue;
      yield error('ovf-host-resource', CONSUMERS, `the item ${name} is backed by something that is not there`, {
        expected: 'ovf:/disk/ and the id of a disk',
        found: quoted(text),
      });
    }
    const connection = child(node, 'Connection')?.text;
    if (connection !== undefined && !networks.has(connection)) {
      const message = `the item ${name} is connected to a network that is not described`;
      yield error('ovf-network', ESXI, message, { found: quoted(connection) });
    }
  }
}

function* controllerFindings(items: readonly Item[]): Generator<Finding> {
  for (const { name, type, subtype } of items) {
    // VirtualBox has a name of its own for it, which its own exports carry and which it imports.
    if (type === TYPE.otherStorage && /nvme/i.test(subtype) && subtype !== 'NVMe') {
      yield warning(
        'ovf-nvme',
        VIRTUALBOX,
        `${name} is an NVMe controller under a name that VirtualBox does not import`,
        {
          found: quoted(subtype),
        },
      );
    }
    if (type === TYPE.scsi && /^VirtualSCSI$/i.test(subtype)) {
      const message = `${name} is paravirtual; VirtualBox quietly puts an LsiLogic in its place`;
      yield warning('ovf-pvscsi', NOBODY, message, {
        found: quoted(subtype),
        hint: 'use lsilogic or sata for VirtualBox',
      });
    }
  }
  for (const [wanted, title, most] of VIRTUALBOX_CONTROLLERS) {
    const found = items.filter(({ type }) => type === wanted).length;
    if (found <= most) continue;
    const message = `VirtualBox imports ${most} ${title} controller${most === 1 ? '' : 's'} and fails for disks on the others`;
    yield warning('ovf-controllers', VIRTUALBOX, message, { expected: `at most ${most}`, found: `${found}` });
  }
  const places = new Set<string>();
  const scsi = new Set(
    items.filter(({ type }) => type === TYPE.scsi).map(({ node }) => child(node, 'InstanceID')?.text.trim()),
  );
  for (const { node, name, type } of items) {
    const parent = child(node, 'Parent')?.text.trim();
    const unit = child(node, 'AddressOnParent')?.text.trim();
    if (type !== TYPE.disk || parent === undefined || unit === undefined) continue;
    if (scsi.has(parent) && unit === '7') {
      yield warning('ovf-scsi-unit', ESXI, `${name} is on the unit that the adapter has for itself`, {
        found: 'unit 7',
      });
    }
    if (places.has(`${parent}:${unit}`)) {
      yield error('ovf-unit-twice', CONSUMERS, `${name} is on a unit that another disk has`, {
        found: `unit ${quoted(unit)}`,
      });
    }
    places.add(`${parent}:${unit}`);
  }
}
