import { attachmentOf, controllersFor } from './attachment.js';
import type { Machine } from './machine.js';
import { VIRTUALBOX_NAMESPACE, type VirtualBoxIds, virtualBoxMachine } from './virtualbox-machine.js';
import { type Element, element, xmlDocument } from './xml.js';

/** The disk that an OVF refers to. Sizes in bytes. */
export interface OvfDisk {
  readonly file: string;
  /** Of the VMDK file. */
  readonly fileSize: number;
  /** As the guest sees it. */
  readonly capacity: number;
  /** Of the capacity, what is stored. */
  readonly populated: number;
}

const DMTF = 'http://schemas.dmtf.org';
const CIM = `${DMTF}/wbem/wscim/1/cim-schema/2`;

const NAMESPACES = {
  xmlns: `${DMTF}/ovf/envelope/1`,
  'xmlns:ovf': `${DMTF}/ovf/envelope/1`,
  'xmlns:rasd': `${CIM}/CIM_ResourceAllocationSettingData`,
  'xmlns:vssd': `${CIM}/CIM_VirtualSystemSettingData`,
} as const;

/** What is only for VMware and would make no sense to others. */
const VMWARE_NAMESPACE = { 'xmlns:vmw': 'http://www.vmware.com/schema/ovf' } as const;

export const STREAM_FORMAT = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized';

/** CIM resource types (CIM_ResourceAllocationSettingData.ResourceType). */
const RESOURCE = { cpu: 3, memory: 4, ide: 5, scsi: 6, ethernet: 10, disk: 17, otherStorage: 20 } as const;

const CONTROLLERS = {
  lsilogic: { type: RESOURCE.scsi, title: 'SCSI', vmware: 'lsilogic', virtualbox: 'LsiLogic' },
  pvscsi: { type: RESOURCE.scsi, title: 'SCSI', vmware: 'VirtualSCSI', virtualbox: undefined },
  sata: { type: RESOURCE.otherStorage, title: 'SATA', vmware: 'vmware.sata.ahci', virtualbox: 'AHCI' },
  ide: { type: RESOURCE.ide, title: 'IDE', vmware: undefined, virtualbox: 'PIIX4' },
} as const;

const ADAPTERS = { e1000: 'E1000', e1000e: 'E1000e', vmxnet3: 'VmxNet3', pcnet32: 'PCNet32' } as const;

/** The OVF 1.1 envelope of one machine with its disks. */
export function ovfDocument(machine: Machine, disks: readonly OvfDisk[], ids: VirtualBoxIds): string {
  const vmware = machine.flavour === 'vmware';
  const own = !vmware && machine.firmware === 'uefi';
  return xmlDocument(
    element(
      'Envelope',
      { ...NAMESPACES, ...(vmware ? VMWARE_NAMESPACE : {}), ...(own ? VIRTUALBOX_NAMESPACE : {}) },
      element(
        'References',
        {},
        ...disks.map((disk, index) =>
          element('File', { 'ovf:href': disk.file, 'ovf:id': `file${index + 1}`, 'ovf:size': disk.fileSize }),
        ),
      ),
      element(
        'DiskSection',
        {},
        element('Info', {}, disks.length === 1 ? 'The virtual disk' : 'The virtual disks'),
        ...disks.map((disk, index) =>
          element('Disk', {
            'ovf:capacity': disk.capacity,
            'ovf:capacityAllocationUnits': 'byte',
            'ovf:diskId': `vmdisk${index + 1}`,
            'ovf:fileRef': `file${index + 1}`,
            'ovf:format': STREAM_FORMAT,
            'ovf:populatedSize': disk.populated,
            ...(own ? { 'vbox:uuid': ids.disks[index] ?? '' } : {}),
          }),
        ),
      ),
      ...(machine.networks.length === 0 ? [] : [networkSection(machine)]),
      element(
        'VirtualSystem',
        { 'ovf:id': machine.id },
        element('Info', {}, 'A virtual machine'),
        element('Name', {}, machine.name),
        ...describing(machine),
        element(
          'OperatingSystemSection',
          { 'ovf:id': machine.guest.cimId, ...(vmware ? { 'vmw:osType': machine.guest.vmware } : {}) },
          element('Info', {}, 'The guest operating system'),
          element('Description', {}, machine.guest.description),
        ),
        element(
          'VirtualHardwareSection',
          {},
          element('Info', {}, 'The virtual hardware'),
          element(
            'System',
            {},
            element('vssd:ElementName', {}, 'Virtual Hardware Family'),
            element('vssd:InstanceID', {}, 0),
            element('vssd:VirtualSystemIdentifier', {}, machine.id),
            element(
              'vssd:VirtualSystemType',
              {},
              vmware ? `vmx-${`${machine.hardware}`.padStart(2, '0')}` : 'virtualbox-2.2',
            ),
          ),
          ...items(machine, disks.length),
          ...(vmware ? [config('firmware', machine.firmware === 'uefi' ? 'efi' : 'bios')] : []),
        ),
        ...(own ? [virtualBoxMachine(machine, ids)] : []),
      ),
    ),
  );
}

function networkSection(machine: Machine): Element {
  const networks = machine.networks.map((name) =>
    element('Network', { 'ovf:name': name }, element('Description', {}, `The ${name} network`)),
  );
  return element('NetworkSection', {}, element('Info', {}, 'The logical networks'), ...networks);
}

/** What people see when they import. */
function describing({ name, version, description }: Machine): Element[] {
  const product = element(
    'ProductSection',
    {},
    element('Info', {}, 'The appliance'),
    element('Product', {}, name),
    ...(version === '' ? [] : [element('Version', {}, version)]),
  );
  if (description === '') return [product];
  return [
    product,
    element('AnnotationSection', {}, element('Info', {}, 'A description'), element('Annotation', {}, description)),
  ];
}

function items(machine: Machine, disks: number): Element[] {
  const controller = CONTROLLERS[machine.controller];
  const subtype = controller[machine.flavour];
  const [cpu, memory, controllers] = [1, 2, 3];
  const count = controllersFor(machine.controller, disks);
  const firstDisk = controllers + count;
  return [
    item({
      AllocationUnits: 'hertz * 10^6',
      Description: 'Number of virtual CPUs',
      ElementName: `${machine.cpus} virtual CPU(s)`,
      InstanceID: cpu,
      ResourceType: RESOURCE.cpu,
      VirtualQuantity: machine.cpus,
    }),
    item({
      // The only unit that VMware, VirtualBox and virt-v2v all understand as MiB.
      AllocationUnits: 'byte * 2^20',
      Description: 'Memory size',
      ElementName: `${machine.memoryMiB} MiB of memory`,
      InstanceID: memory,
      ResourceType: RESOURCE.memory,
      VirtualQuantity: machine.memoryMiB,
    }),
    ...Array.from({ length: count }, (_, index) =>
      item({
        Address: index,
        Description: `${controller.title} controller`,
        ElementName: `${controller.title} controller ${index}`,
        InstanceID: controllers + index,
        ...(subtype === undefined ? {} : { ResourceSubType: subtype }),
        ResourceType: controller.type,
      }),
    ),
    ...Array.from({ length: disks }, (_, index) => {
      const { controller: parent, unit } = attachmentOf(machine.controller, index);
      return item({
        AddressOnParent: unit,
        Description: 'Disk',
        ElementName: `Hard disk ${index + 1}`,
        HostResource: `ovf:/disk/vmdisk${index + 1}`,
        InstanceID: firstDisk + index,
        Parent: controllers + parent,
        ResourceType: RESOURCE.disk,
      });
    }),
    ...machine.networks.map((network, index) =>
      item({
        AddressOnParent: index,
        AutomaticAllocation: 'true',
        Connection: network,
        Description: `Network adapter on ${network}`,
        ElementName: `Network adapter ${index + 1}`,
        InstanceID: firstDisk + disks + index,
        ResourceSubType: ADAPTERS[machine.adapter],
        ResourceType: RESOURCE.ethernet,
      }),
    ),
  ];
}

/** The schema wants the properties of an item in alphabetical order; sorting here makes it so whatever is added. */
function item(properties: Readonly<Record<string, string | number>>): Element {
  const names = Object.keys(properties).sort();
  return element('Item', {}, ...names.map((name) => element(`rasd:${name}`, {}, properties[name] ?? '')));
}

function config(key: string, value: string): Element {
  return element('vmw:Config', { 'ovf:required': 'false', 'vmw:key': key, 'vmw:value': value });
}
