import { createHash } from 'node:crypto';
import type { Finding, ImageFile } from '@polyvisor/core';
import { job, memoryDisk, memoryFile, memorySink, noise, write } from '@polyvisor/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { ova } from './ova.js';
import { ovf } from './ovf-converter.js';
import { TAR_BLOCK } from './tar.js';
import { encodeTarHeader } from './tar-header.js';
import { listArchive } from './tar-reader.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;

let xml: string;
let vmdk: Buffer;
beforeAll(async () => {
  const disk = memoryDisk(MiB, [{ offset: 0, bytes: noise(3000) }]);
  const { sink } = await write(ova, disk, { networks: 'N' });
  const bytes = Buffer.from(sink.bytes());
  const [first, , last] = (await listArchive(sink.file())).map(({ offset, size }) =>
    bytes.subarray(offset, offset + size),
  );
  xml = first?.toString() ?? '';
  vmdk = last ?? Buffer.alloc(0);
});

interface Member {
  readonly name: string;
  readonly content: Uint8Array;
  readonly change?: (header: Buffer) => void;
}

const sha = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

function archive(members: readonly Member[], trailer = 1024): Buffer {
  const parts = members.flatMap(({ name, content, change }) => {
    const header = encodeTarHeader({ name, size: content.length, modified: 0 });
    change?.(header);
    let sum = 0;
    header.fill(' ', 148, 156);
    for (const byte of header) sum += byte;
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, content, Buffer.alloc((TAR_BLOCK - (content.length % TAR_BLOCK)) % TAR_BLOCK)];
  });
  return Buffer.concat([...parts, Buffer.alloc(trailer)]);
}

const descriptor = (content = xml): Member => ({ name: 'vm.ovf', content: Buffer.from(content) });
const disk = (content = vmdk): Member => ({ name: 'sample-disk1.vmdk', content });
const lines = (members: readonly Member[]) =>
  members.map(({ name, content }) => `SHA256(${name})= ${sha(content)}\n`).join('');
const manifest = (content: string): Member => ({ name: 'vm.mf', content: Buffer.from(content) });

/** A sound archive but for what is changed in its descriptor or disk; the manifest fits. */
function appliance(content = xml, disks: Buffer = vmdk): Buffer {
  const [first, last] = [descriptor(content), disk(disks)];
  return archive([first, manifest(lines([first, last])), last]);
}

async function check(file: ImageFile, converter = ova): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of converter.check?.(file, { signal }) ?? []) findings.push(finding);
  return findings;
}

const rules = async (bytes: Buffer) => (await check(memoryFile(bytes))).map(({ rule }) => rule);

describe('checking an OVA', () => {
  it('finds nothing in a sound one', async () => {
    expect(await check(memoryFile(appliance()))).toEqual([]);
    const { sink } = await write(ova, memoryDisk(MiB, []), { controller: 'sata', hardware: 20 });
    expect(await check(sink.file())).toEqual([]);
    const folder = memorySink();
    const output = { name: 'disk.ovf', beside: (name: string) => folder.beside(name) };
    await (await ovf.create({ ...job(MiB, folder, {}), output })).finish();
    expect(await check(folder.file('disk.ovf'), ovf)).toEqual([]);
  });

  it('knows that ESXi does not take what is made for VirtualBox', async () => {
    const { sink } = await write(ova, memoryDisk(MiB, []), { flavour: 'virtualbox', firmware: 'uefi' });
    expect(await check(sink.file())).toMatchObject([{ rule: 'ovf-system-type', refusedBy: ['esxi'] }]);
  });

  it.each<[string, () => Buffer, readonly string[]]>([
    ['ova-header', () => { const bytes = appliance(); bytes.write('x', 3); return bytes; }, ['esxi', 'virtualbox']],
    ['ova-member-type', () => archive([descriptor(), disk(), { name: 'x', content: Buffer.alloc(0), change: (header) => void header.write('2', 156) }]), ['esxi', 'virtualbox']],
    ['ova-member-type', () => archive([{ name: 'p', content: Buffer.from('11 a=b\n'), change: (header) => void header.write('x', 156) }, descriptor(), disk()]), ['esxi', 'virtualbox']],
    ['ova-member-name', () => archive([descriptor(), disk(), { name: 'x', content: Buffer.alloc(0), change: (header) => void header.write('../x') }]), ['esxi', 'virtualbox']],
    ['ova-member-name', () => archive([descriptor(), disk(), { name: 'x', content: Buffer.alloc(0), change: (header) => void header.write('C:') }]), ['esxi', 'virtualbox']],
    ['ova-member-twice', () => archive([descriptor(), disk(), { name: 'SAMPLE-disk1.vmdk', content: vmdk }]), ['esxi', 'virtualbox']],
    ['ova-member-size', () => archive([descriptor(), disk(), { name: 'x', content: Buffer.alloc(0), change: (header) => void header.write('77777777777\0', 124) }]), ['esxi', 'virtualbox']],
    ['ova-member-size', () => archive([descriptor(), disk(), { name: 'x', content: Buffer.alloc(0), change: (header) => void header.write('ffffffffffffffffffffffff', 124, 'hex') }]), ['esxi', 'virtualbox']],
    ['ova-member-count', () => archive([descriptor(), disk(), ...Array.from({ length: 100 }, (_, index) => ({ name: `${index}`, content: Buffer.alloc(0) }))]), []],
    ['ova-truncated', () => archive([descriptor(), disk()], 100), ['esxi', 'virtualbox']],
    ['ova-trailer', () => archive([descriptor(), disk()], 0), []],
    ['ova-trailer-long', () => archive([descriptor(), disk()], 200 * 512), ['virtualbox']],
    ['ova-appended', () => Buffer.concat([archive([descriptor(), disk()]), archive([descriptor()])]), ['virtualbox']],
    ['ova-order', () => archive([disk(), descriptor()]), ['esxi']],
    ['ova-descriptor-missing', () => archive([disk()]), ['esxi', 'virtualbox']],
    ['ova-descriptor-twice', () => archive([descriptor(), disk(), { name: 'b.ovf', content: Buffer.from(xml) }]), ['esxi', 'virtualbox']],
    ['ova-manifest-name', () => archive([descriptor(), { ...manifest(lines([descriptor(), disk()])), name: 'x.mf' }, disk()]), ['esxi', 'virtualbox']],
    ['ova-manifest-place', () => archive([descriptor(), disk(), manifest(lines([descriptor(), disk()])), { name: 'b.vmdk', content: vmdk }]), ['esxi']],
    ['ovf-manifest-missing', () => archive([descriptor(), disk()]), []],
    ['ovf-manifest-incomplete', () => archive([descriptor(), manifest(lines([disk()])), disk()]), []],
    ['ovf-manifest-foreign', () => archive([descriptor(), manifest(`${lines([descriptor(), disk()])}SHA256(/etc/passwd)= ${'0'.repeat(64)}\n`), disk()]), ['esxi', 'virtualbox']],
    ['ovf-manifest-twice', () => archive([descriptor(), manifest(lines([descriptor(), disk(), disk()])), disk()]), ['esxi', 'virtualbox']],
    ['ovf-manifest-spacing', () => archive([descriptor(), manifest(lines([descriptor(), disk()]).replace('(', ' (')), disk()]), ['esxi']],
    ['ovf-manifest-syntax', () => archive([descriptor(), manifest(lines([descriptor(), disk()]).replace('SHA256', 'SHA2-256')), disk()]), ['esxi']],
    ['ovf-manifest-digest', () => archive([descriptor(), manifest(lines([descriptor(), disk(Buffer.alloc(512))])), disk()]), ['esxi', 'virtualbox']],
    ['ovf-too-long', () => archive([descriptor(xml.padEnd(MiB + 1)), disk()]), []],
  ])('finds %s', async (rule, make, refusedBy) => {
    const findings = await check(memoryFile(make()));
    expect(findings.find((each) => each.rule === rule), findings.map((each) => each.rule).join()).toMatchObject({ refusedBy });
  }); // prettier-ignore

  const ALL = ['esxi', 'virtualbox'];
  it.each<[string, string | RegExp, string, readonly string[]]>([
    ['ovf-xml', '<Envelope', '<!DOCTYPE x><Envelope', ALL],
    ['ovf-xml', '</References>', '', ALL],
    ['ovf-root', /Envelope/g, 'Other', ALL],
    ['ovf-namespace', /ovf\/envelope\/1/g, 'ovf/envelope/2', ['esxi']],
    ['ovf-collection', /VirtualSystem\b/g, 'VirtualSystemCollection', ['esxi']],
    ['ovf-system-missing', /VirtualSystem\b/g, 'Nothing', ALL],
    ['ovf-hardware-missing', /VirtualHardwareSection/g, 'OtherSection', ALL],
    ['ovf-file-twice', /(<File .*>)/, '$1$1', ALL],
    ['ovf-disk-twice', /(<Disk .*>)/, '$1$1', ALL],
    ['ovf-disk-missing', /<Disk .*>/, '', []],
    ['ovf-file-ref', 'fileRef="file1"', 'fileRef="__proto__"', ALL],
    ['ovf-disk-parent', '<Disk ', '<Disk ovf:parentRef="x" ', ALL],
    ['ovf-disk-format', /ovf:format="[^"]*"/, 'ovf:format="http://go.microsoft.com/fwlink/?LinkId=137171"', ALL],
    ['ovf-disk-capacity', 'AllocationUnits="byte"', 'AllocationUnits="GigaBytes"', ['esxi']],
    ['ovf-capacity', 'ovf:capacity="1048576"', 'ovf:capacity="16"', ['esxi']],
    ['ovf-file-chunked', '<File ', '<File ovf:chunkSize="1000" ', ALL],
    ['ovf-file-size', /ovf:size="\d+"/, 'ovf:size="1"', ['esxi']],
    ['ovf-file-size', /ovf:size="\d+"/, '', []],
    ['ovf-href', /ovf:href="[^"]*"/, 'ovf:href="/etc/passwd"', ALL],
    ['ovf-href', /ovf:href="[^"]*"/, 'ovf:href="%2e%2e%2fx"', ALL],
    ['ovf-guest-id', /OperatingSystemSection ovf:id="\d+"/, 'OperatingSystemSection ovf:id="debian"', ['virtualbox']],
    ['ovf-system-type', 'vmx-13', 'virtualbox-2.2', ['esxi']],
    ['ovf-item-order', /(<rasd:Description>.*\s+)(<rasd:ElementName>.*\s+)/, '$2$1', ['esxi']],
    ['ovf-instance-id', '<rasd:InstanceID>2<', '<rasd:InstanceID>1<', ALL],
    ['ovf-instance-id', /<rasd:InstanceID>1<.*>/, '', ALL],
    ['ovf-item-unknown', '<rasd:ResourceType>10<', '<rasd:ResourceType>99<', ALL],
    ['ovf-memory-units', 'byte * 2^20', 'byte * 2^30', ['virtualbox']],
    ['ovf-memory-units', 'byte * 2^20', 'MegaBytes', []],
    ['ovf-parent', '<rasd:Parent>3<', '<rasd:Parent>9<', ALL],
    ['ovf-host-resource', 'ovf:/disk/vmdisk1', 'ovf:/disk/other', ALL],
    ['ovf-host-resource', 'ovf:/disk/vmdisk1', '/etc/passwd', ALL],
    ['ovf-network', '<rasd:Connection>N<', '<rasd:Connection>M<', ['esxi']],
    ['ovf-pvscsi', '>lsilogic<', '>VirtualSCSI<', []],
    ['ovf-scsi-unit', /(AddressOnParent>)0(<[^]*?HostResource)/, '$17$2', ['esxi']],
  ])('finds %s', async (rule, from, to, refusedBy) => {
    expect(xml).toMatch(from);
    const findings = await check(memoryFile(appliance(xml.replace(from, to))));
    const finding = findings.find((each) => each.rule === rule);
    expect(finding, findings.map((each) => each.rule).join()).toMatchObject({ refusedBy });
    expect(finding?.offset).toBeDefined();
  });

  const withItem = (item: string) =>
    xml.replace('</VirtualHardwareSection>', `<Item>${item}</Item></VirtualHardwareSection>`);
  const controller = (type: number, subtype: string) =>
    `<rasd:ElementName>x</rasd:ElementName><rasd:InstanceID>50</rasd:InstanceID><rasd:ResourceSubType>${subtype}</rasd:ResourceSubType><rasd:ResourceType>${type}</rasd:ResourceType>`;

  it('finds controllers that VirtualBox does not import', async () => {
    expect(await rules(appliance(withItem(controller(20, 'vmware.nvme.controller'))))).toEqual(['ovf-nvme']);
    expect(await rules(appliance(withItem(controller(20, 'NVMe'))))).toEqual([]);
    expect(await rules(appliance(withItem(controller(6, 'lsilogic'))))).toEqual(['ovf-controllers']);
    const twice = `<rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>x</rasd:ElementName><rasd:InstanceID>50</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType>`;
    expect(await rules(appliance(withItem(twice)))).toEqual(['ovf-unit-twice']);
  });

  it('finds VMDKs that ESXi does not take, and those that nobody reads', async () => {
    const version = Buffer.from(vmdk);
    version.writeUInt32LE(1, 4);
    version.writeUInt32LE(1, version.length - 1024 + 4);
    expect(await rules(appliance(xml, version))).toEqual(['ovf-vmdk-version']);
    const longer = Buffer.concat([vmdk, Buffer.alloc(512, 1)]);
    const sized = xml.replace(`ovf:size="${vmdk.length}"`, `ovf:size="${longer.length}"`);
    expect(await rules(appliance(sized, longer))).toEqual(['ovf-vmdk-end', 'ovf-disk-unreadable']);
    expect(await rules(appliance(xml, Buffer.alloc(vmdk.length, 7)))).toEqual(['ovf-disk-unreadable']);
  });

  it('ends with a finding however little there is', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(100), Buffer.alloc(2048, 7), noiseOf(4096)])
      expect((await check(memoryFile(bytes))).some(({ severity }) => severity === 'error')).toBe(true);
    for (const text of ['', '<', 'x', '<Envelope/>'])
      expect((await check(memoryFile(Buffer.from(text), 'x.ovf'), ovf)).length).toBeGreaterThan(0);
  });
});

const noiseOf = (length: number) => Buffer.from(noise(length));
