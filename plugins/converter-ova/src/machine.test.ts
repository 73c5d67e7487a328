import { parseOptions } from '@polyvisor/core';
import { sampleFacts } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { guestOsOf } from './guest-os.js';
import { identifierOf, machineOf } from './machine.js';
import { ovaOptions } from './options.js';

const options = (given: unknown) => parseOptions('test', ovaOptions, given);

describe('the machine of an OVA', () => {
  it("is the appliance's where no option says otherwise", () => {
    expect(machineOf(options({}), sampleFacts)).toMatchObject({
      name: 'sample',
      id: 'sample',
      flavour: 'vmware',
      hardware: 13,
      cpus: 1,
      memoryMiB: 1024,
      controller: 'lsilogic',
      firmware: 'bios',
      networks: [],
      adapter: 'e1000',
      guest: { cimId: 96, vmware: 'debian10_64Guest', description: 'Debian GNU/Linux 12 (64-bit)' },
    });
  });

  it('takes every option', () => {
    const given = {
      flavour: 'virtualbox',
      cpus: 4,
      memory: '1500000000',
      controller: 'sata',
      firmware: 'uefi',
      networks: ['NAT', 2],
      adapter: 'pcnet32',
      name: 7,
    };
    expect(machineOf(options(given), sampleFacts)).toMatchObject({
      flavour: 'virtualbox',
      cpus: 4,
      memoryMiB: 1432,
      controller: 'sata',
      firmware: 'uefi',
      networks: ['NAT', '2'],
      adapter: 'pcnet32',
      name: '7',
    });
  });

  it('has a network under VirtualBox by default, and none when asked so', () => {
    expect(machineOf(options({ flavour: 'virtualbox' }), sampleFacts).networks).toEqual(['NAT']);
    expect(machineOf(options({ flavour: 'virtualbox', networks: 'none' }), sampleFacts).networks).toEqual([]);
    expect(machineOf(options({ networks: 'VM Network' }), sampleFacts).networks).toEqual(['VM Network']);
  });

  it('boots by UEFI when the appliance knows nothing else', () => {
    expect(machineOf(options({}), { ...sampleFacts, firmware: ['uefi'] }).firmware).toBe('uefi');
    expect(machineOf(options({}), { ...sampleFacts, firmware: ['uefi', 'bios'] }).firmware).toBe('bios');
  });

  it('is refused for another processor', () => {
    expect(() => machineOf(options({}), { ...sampleFacts, architecture: 'arm64' })).toThrow(/for arm64/);
  });

  it.each([
    [{ flavour: 'virtualbox', controller: 'pvscsi' }, /VirtualBox has no pvscsi/],
    [{ flavour: 'virtualbox', adapter: 'vmxnet3' }, /VirtualBox has no vmxnet3/],
    [{ flavour: 'virtualbox', hardware: 13 }, /hardware: is a version of VMware/],
    [{ hardware: 9, controller: 'sata' }, /sata needs hardware=10/],
    [{ hardware: 7, firmware: 'uefi' }, /uefi needs hardware=8/],
    [{ hardware: 7, adapter: 'e1000e' }, /e1000e needs hardware=8/],
    [{ hardware: 23 }, /hardware/],
    [{ cpus: 0 }, /cpus/],
    [{ memory: '1k' }, /memory: must be 4M to 6T/],
    [{ name: 'two\nlines' }, /one line/],
    [{ networks: ['a', 'a'] }, /each name once/],
    [{ networks: ['a', ''] }, /one line/],
    [{ manifest: 'md5' }, /manifest/],
    [{ level: 0 }, /level/],
  ])('is refused with %j', (given, message) => {
    expect(() => options(given)).toThrow(message);
  });

  it('reports all that is wrong with its options', () => {
    expect(() => options({ flavour: 'virtualbox', controller: 'pvscsi', adapter: 'vmxnet3' })).toThrow(
      /pvscsi.*vmxnet3/,
    );
  });

  it('explains every option', () => {
    const { properties } = z.toJSONSchema(ovaOptions, { io: 'input' });
    for (const [name, property] of Object.entries(properties ?? {})) {
      expect(typeof property === 'object' && property.description, name).toBeTruthy();
    }
    expect(JSON.stringify(properties?.['networks'])).toContain('distributed switches');
  });
});

describe('the name of its files', () => {
  it.each([
    ['debian-12', 'debian-12'],
    ['Größe & <Co>', 'Gro-e-Co'],
    ['../../etc/passwd', 'etc-passwd'],
    ['.hidden.', 'hidden'],
    ['日本', 'appliance'],
    ['x'.repeat(200), 'x'.repeat(80)],
  ])('is made of %j', (name, id) => {
    expect(identifierOf(name)).toBe(id);
  });
});

describe('the guest system of an OVA', () => {
  it.each([
    ['debian', '12', 20, 96, 'debian12_64Guest'],
    ['debian', '12', 17, 96, 'debian11_64Guest'],
    ['debian', '12', 10, 96, 'debian6_64Guest'],
    ['debian', '11.7', 21, 96, 'debian11_64Guest'],
    ['debian', '', 21, 96, 'debian12_64Guest'],
    ['ubuntu', '24.04', 13, 94, 'ubuntu64Guest'],
    ['rhel', '9', 13, 80, 'rhel7_64Guest'],
    ['linux', '', 13, 101, 'other3xLinux64Guest'],
    ['something', '1', 13, 101, 'other3xLinux64Guest'],
    ['other', '', 13, 102, 'otherGuest64'],
  ])('%s %s on vmx-%i is %i and %s', (guest, guestVersion, hardware, cimId, vmware) => {
    expect(guestOsOf({ guest, guestVersion }, hardware)).toMatchObject({ cimId, vmware });
  });
});
