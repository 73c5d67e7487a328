import type { MachineSpec } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { checkMade } from './check-made.js';
import { type Configuration, modifyArguments } from './configuration.js';
import { firmwareSettings } from './firmware-strings.js';
import { guestType } from './guest-type.js';
import { virtualboxOptions } from './options.js';
import { layOut } from './storage.js';

const MIB = 1024 * 1024;
const spec: MachineSpec = {
  name: 'm',
  architecture: 'x86_64',
  firmware: 'bios',
  cpus: 2,
  memory: 512 * MIB + 1,
  guest: 'debian',
  disk: '/d.vdi',
  media: [
    { kind: 'cdrom', path: '/a.iso' },
    { kind: 'disk', path: '/seed.img' },
  ],
  forwardedPorts: [22],
  serialLog: '/serial.log',
  firmwareStrings: [],
};

function configuration(options: object = {}, version = { major: 7, minor: 2, text: '7.2.22' }): Configuration {
  const forwarding = new Map([[22, 4022]]);
  const serial = '/home/serial';
  return { spec, options: virtualboxOptions.parse(options), version, engine: 'default', serial, forwarding };
}

/** What follows an option. */
function valueOf(args: readonly string[], option: string): string | undefined {
  return args[args.indexOf(option) + 1];
}

describe('settings', () => {
  it('are those of the machine, memory rounded up', () => {
    const args = modifyArguments(configuration());
    expect(valueOf(args, '--memory')).toBe('513');
    expect(valueOf(args, '--cpus')).toBe('2');
    expect(valueOf(args, '--natpf1')).toBe('port-22,tcp,127.0.0.1,4022,,22');
    expect(valueOf(args, '--nat-localhostreachable1')).toBe('on');
    expect(args).not.toContain('--vm-execution-engine');
  });

  it('use what 6.1 knows', () => {
    const args = modifyArguments(configuration({}, { major: 6, minor: 1, text: '6.1.50' }));
    expect(valueOf(args, '--audio')).toBe('none');
    expect(args).not.toContain('--audio-enabled');
    expect(args).not.toContain('--nat-localhostreachable1');
  });

  it('end with what a person adds, word by word', () => {
    const args = modifyArguments(configuration({ modifyvm: ['--nested-hw-virt on', '--uart2 0x2F8 3'] }));
    expect(args.slice(-5)).toEqual(['--nested-hw-virt', 'on', '--uart2', '0x2F8', '3']);
    expect(modifyArguments(configuration({ modifyvm: '--hpet on' })).slice(-2)).toEqual(['--hpet', 'on']);
  });

  it.each([
    '--memory 4096',
    '--nat-pf1 "a,tcp,,1,,1"',
    '--natpf1=x',
    '--uart-mode1 disconnected',
    '--Boot1 dvd',
    'memory 4096',
    '--',
  ])('are not replaced by it: %s', (line) => {
    expect(virtualboxOptions.safeParse({ modifyvm: [line] }).success).toBe(false);
  });

  it('are looked up again after they were made', () => {
    const made = new Map([
      ['memory', '513'],
      ['cpus', '2'],
      ['firmware', 'BIOS'],
      ['nic1', 'nat'],
      ['boot1', 'disk'],
      ['disk-0-0', '/d.vdi'],
      ['Forwarding(0)', 'port-22,tcp,127.0.0.1,4022,,22'],
    ]);
    checkMade(made, configuration(), '/d.vdi');
    for (const name of made.keys()) {
      const less = new Map(made);
      less.delete(name);
      expect(() => checkMade(less, configuration(), '/d.vdi'), name).toThrow(
        /did not make the machine m as it was told/,
      );
    }
  });
});

describe('storage', () => {
  const places = (bus: string, firmware: MachineSpec['firmware'] = 'bios') =>
    layOut({ ...spec, firmware }, virtualboxOptions.parse({ 'disk-bus': bus })).attachments.map(
      ({ controller, port, device, type, medium }) => `${controller}:${port}.${device} ${type} ${medium}`,
    );

  it.each([
    ['sata', ['disk:0.0 hdd /d.vdi', 'disk:1.0 dvddrive /a.iso', 'disk:2.0 hdd /seed.img']],
    ['ide', ['disk:0.0 hdd /d.vdi', 'disk:0.1 dvddrive /a.iso', 'disk:1.0 hdd /seed.img']],
    ['virtio-scsi', ['disk:0.0 hdd /d.vdi', 'media:0.0 dvddrive /a.iso', 'media:1.0 hdd /seed.img']],
  ])('has the disk first: %s', (bus, expected) => {
    expect(places(bus)).toEqual(expected);
  });

  it('refuses what cannot start or does not fit', () => {
    expect(() => places('nvme')).toThrow(/NVMe/);
    expect(places('nvme', 'uefi')[0]).toBe('disk:0.0 hdd /d.vdi');
    const media = Array.from({ length: 4 }, (_, index) => ({ kind: 'cdrom', path: `/${index}.iso` }) as const);
    expect(() => layOut({ ...spec, media }, { 'disk-bus': 'ide', 'guest-additions': undefined })).toThrow(/IDE/);
  });

  it('has the Guest Additions last', () => {
    const { attachments } = layOut(spec, virtualboxOptions.parse({ 'guest-additions': 'auto' }));
    expect(attachments.at(-1)).toMatchObject({ type: 'dvddrive', medium: 'additions', port: 3 });
  });
});

describe('strings of the firmware', () => {
  it('are put where VirtualBox has its two OEM strings', () => {
    expect(firmwareSettings({ ...spec, firmwareStrings: ['12', 'b'] })).toEqual([
      ['VBoxInternal/Devices/pcbios/0/Config/DmiOEMVBoxVer', 'string:12'],
      ['VBoxInternal/Devices/pcbios/0/Config/DmiOEMVBoxRev', 'string:b'],
    ]);
    expect(firmwareSettings({ ...spec, firmware: 'uefi', firmwareStrings: ['a'] })[0]?.[0]).toContain('/efi/0/');
  });

  it.each([[['a', 'b', 'c']], [['x'.repeat(256)]]])('are refused where they do not fit', (firmwareStrings) => {
    expect(() => firmwareSettings({ ...spec, firmwareStrings })).toThrow(/2 strings of at most 255 bytes/);
  });
});

it.each([
  ['debian', 'Debian_64'],
  ['Rocky', 'RedHat_64'],
  ['', 'Other_64'],
  ['constructor', 'Other_64'],
])('the guest %j is %s', (family, type) => {
  expect(guestType(family)).toBe(type);
});
