import { parseOptions } from '@polyvisor/core';
import { sampleFacts } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { machineOf } from './machine.js';
import { ovaOptions } from './options.js';
import { ovfDocument } from './ovf.js';
import { attribute, child, children, parseXml, type XmlNode } from './xml-reader.js';

const ids = { machine: '11111111-2222-8333-8444-555555555555', disks: ['66666666-7777-8888-9999-000000000000'] };
const disk = { file: 'sample-disk1.vmdk', fileSize: 123, capacity: 8 * 2 ** 20, populated: 65536 };

const source = (given: object, facts = sampleFacts) =>
  ovfDocument(machineOf(parseOptions('test', ovaOptions, given), facts), [disk], ids);

function parsed(given: object, facts = sampleFacts): XmlNode {
  const root = parseXml(Buffer.from(source(given, facts)));
  if (typeof root === 'string') throw new Error(root);
  return root;
}

const items = (root: XmlNode) => children(child(child(root, 'VirtualSystem'), 'VirtualHardwareSection'), 'Item');
const property = (item: XmlNode | undefined, name: string) => child(item, name)?.text;

const EVERYTHING = [
  {},
  { flavour: 'virtualbox' },
  { controller: 'sata', networks: ['VM Network', 'Other'], adapter: 'vmxnet3', hardware: 20, firmware: 'uefi' },
  { controller: 'ide', networks: 'a' },
  { controller: 'pvscsi' },
  { flavour: 'virtualbox', controller: 'ide' },
  { flavour: 'virtualbox', firmware: 'uefi' },
  { flavour: 'virtualbox', controller: 'sata', networks: ['NAT', 'HostOnly'] },
];

describe('an OVF descriptor', () => {
  it.each(EVERYTHING)('keeps the rules of the schema with %j', (given) => {
    const root = parsed(given);
    expect(root.attributes.get('xmlns')).toBe('http://schemas.dmtf.org/ovf/envelope/1');
    const sections = root.children.map(({ name }) => name);
    expect(sections.filter((name) => name !== 'NetworkSection')).toEqual([
      'References',
      'DiskSection',
      'VirtualSystem',
    ]);
    const system = child(root, 'VirtualSystem');
    expect(system?.children.slice(0, 2).map(({ name }) => name)).toEqual(['Info', 'Name']);
    for (const section of [...root.children, ...(system?.children ?? [])]) {
      if (section.name.endsWith('Section')) expect(section.children[0]?.name).toBe('Info');
    }
    const instances = items(root).map((item) => {
      const names = item.children.map(({ name }) => name);
      expect(names).toEqual([...names].sort());
      expect(names).toEqual(expect.arrayContaining(['ElementName', 'InstanceID', 'ResourceType']));
      return property(item, 'InstanceID');
    });
    expect(new Set(instances).size).toBe(instances.length);
    for (const item of items(root)) {
      const parent = property(item, 'Parent');
      if (parent !== undefined) expect(instances).toContain(parent);
      const connection = property(item, 'Connection');
      if (connection !== undefined) {
        const networks = children(child(root, 'NetworkSection'), 'Network').map((each) => attribute(each, 'name'));
        expect(networks).toContain(connection);
      }
    }
    // Every prefix that is used is declared.
    for (const [, prefix] of source(given).matchAll(/[<\s](\w+):\w+[\s=>]/g)) {
      expect(root.attributes.has(`xmlns:${prefix ?? ''}`) || prefix === 'xmlns', prefix).toBe(true);
    }
  });

  it('leads from the machine to the file', () => {
    const root = parsed({});
    const file = child(child(root, 'References'), 'File') as XmlNode;
    const described = child(child(root, 'DiskSection'), 'Disk') as XmlNode;
    expect([...file.attributes]).toEqual([
      ['ovf:href', 'sample-disk1.vmdk'],
      ['ovf:id', 'file1'],
      ['ovf:size', '123'],
    ]);
    expect([...described.attributes]).toEqual([
      ['ovf:capacity', '8388608'],
      ['ovf:capacityAllocationUnits', 'byte'],
      ['ovf:diskId', 'vmdisk1'],
      ['ovf:fileRef', 'file1'],
      ['ovf:format', 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'],
      ['ovf:populatedSize', '65536'],
    ]);
    const hardDisk = items(root).find((item) => property(item, 'ResourceType') === '17');
    expect(property(hardDisk, 'HostResource')).toBe('ovf:/disk/vmdisk1');
  });

  it.each([
    [{}, 'lsilogic', '6', 'vmx-13'],
    [{ controller: 'pvscsi', hardware: 9 }, 'VirtualSCSI', '6', 'vmx-09'],
    [{ controller: 'sata' }, 'vmware.sata.ahci', '20', 'vmx-13'],
    [{ controller: 'ide' }, undefined, '5', 'vmx-13'],
    [{ flavour: 'virtualbox' }, 'LsiLogic', '6', 'virtualbox-2.2'],
    [{ flavour: 'virtualbox', controller: 'sata' }, 'AHCI', '20', 'virtualbox-2.2'],
    [{ flavour: 'virtualbox', controller: 'ide' }, 'PIIX4', '5', 'virtualbox-2.2'],
  ])('names the controller for %j', (given, subtype, type, system) => {
    const root = parsed(given);
    const controller = items(root)[2];
    expect(property(controller, 'ResourceSubType')).toBe(subtype);
    expect(property(controller, 'ResourceType')).toBe(type);
    const hardware = child(child(root, 'VirtualSystem'), 'VirtualHardwareSection');
    expect(child(child(hardware, 'System'), 'VirtualSystemType')?.text).toBe(system);
  });

  it('tells VMware the firmware and the guest, and nobody else', () => {
    const config = (root: XmlNode) => child(child(child(root, 'VirtualSystem'), 'VirtualHardwareSection'), 'Config');
    expect(config(parsed({}))?.attributes.get('vmw:value')).toBe('bios');
    expect(config(parsed({ firmware: 'uefi' }))?.attributes.get('vmw:value')).toBe('efi');
    expect(source({ hardware: 20 })).toContain('<OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest">');
    expect(source({ flavour: 'virtualbox' })).not.toContain('vmw:');
  });

  it('tells VirtualBox about UEFI in its own words, because OVF has none', () => {
    expect(source({ flavour: 'virtualbox' })).not.toContain('vbox:');
    const root = parsed({
      flavour: 'virtualbox',
      firmware: 'uefi',
      controller: 'sata',
      cpus: 2,
      networks: ['NAT', 'HostOnly', 'x'],
    });
    const disk = child(child(root, 'DiskSection'), 'Disk') as XmlNode;
    expect(disk.attributes.get('vbox:uuid')).toBe(ids.disks[0]);
    const machine = child(child(root, 'VirtualSystem'), 'Machine') as XmlNode;
    expect(machine.attributes.get('ovf:required')).toBe('false');
    expect(machine.attributes.get('uuid')).toBe(`{${ids.machine}}`);
    expect(machine.attributes.get('OSType')).toBe('Debian_64');
    const hardware = child(machine, 'Hardware');
    expect(child(hardware, 'Firmware')?.attributes.get('type')).toBe('EFI');
    expect(child(hardware, 'CPU')?.attributes.get('count')).toBe('2');
    expect(child(hardware, 'Memory')?.attributes.get('RAMSize')).toBe('1024');
    const adapters = children(child(hardware, 'Network'), 'Adapter');
    expect(adapters.map((adapter) => [adapter.attributes.get('slot'), adapter.children[0]?.name])).toEqual([
      ['0', 'NAT'],
      ['1', 'HostOnlyInterface'],
      ['2', 'BridgedInterface'],
    ]);
    const controller = child(child(machine, 'StorageControllers'), 'StorageController');
    expect(controller?.attributes.get('type')).toBe('AHCI');
    expect(child(child(controller, 'AttachedDevice'), 'Image')?.attributes.get('uuid')).toBe(`{${ids.disks[0]}}`);
  });

  it('has no network adapter unless there is a network', () => {
    expect(source({})).not.toContain('Network');
    const nics = items(parsed({ networks: ['A', 'B'], adapter: 'vmxnet3' })).filter(
      (item) => property(item, 'ResourceType') === '10',
    );
    expect(nics.map((nic) => [property(nic, 'Connection'), property(nic, 'ResourceSubType')])).toEqual([
      ['A', 'VmxNet3'],
      ['B', 'VmxNet3'],
    ]);
  });

  it('brings any text through', () => {
    const name = `<&>"' ]]> ä \u{1f5a5}`;
    const root = parsed(
      { name },
      { ...sampleFacts, description: `a\n\tb\u0001\u0000 <!ENTITY x> &amp;`, version: '"1"' },
    );
    const system = child(root, 'VirtualSystem');
    expect(child(system, 'Name')?.text).toBe(name);
    expect(child(child(system, 'AnnotationSection'), 'Annotation')?.text).toBe('a\n\tb <!ENTITY x> &amp;');
    expect(child(child(system, 'ProductSection'), 'Version')?.text).toBe('"1"');
  });
});
