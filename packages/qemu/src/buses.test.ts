import { describe, expect, it } from 'vitest';
import { BUS_NAMES, defaultMachine, type Drive, driveDevices, MEDIA_BUS_NAMES } from './buses.js';

const disk: Drive = { drive: 'disk', kind: 'disk', bootIndex: 1 };
const cd: Drive = { drive: 'cd', kind: 'cdrom', bootIndex: 2 };
const values = (args: readonly string[]) => args.filter((argument) => argument !== '-device');

describe('driveDevices', () => {
  it.each(BUS_NAMES)('attaches a disk and a CD where there are disks on %s', (bus) => {
    const devices = values(driveDevices(bus, [disk, cd]));
    expect(devices.filter((device) => device.includes('drive=disk,') && device.includes('bootindex=1'))).toHaveLength(
      1,
    );
    expect(devices.filter((device) => /^(ide|scsi)-cd,drive=cd,.*bootindex=2$/.test(device))).toHaveLength(1);
  });

  it('gives guests with virtio disks their CDs by virtio as well', () => {
    expect(values(driveDevices('virtio', [disk, cd]))).toEqual([
      'virtio-blk-pci,drive=disk,bootindex=1,werror=stop,rerror=stop',
      'virtio-scsi-pci,id=media',
      'scsi-cd,drive=cd,bus=media.0,scsi-id=0,lun=0,bootindex=2',
    ]);
  });

  it('adds a controller once, for disk and media', () => {
    const devices = values(driveDevices('sata', [disk, cd, { drive: 'seed', kind: 'disk' }]));
    expect(devices).toEqual([
      'ahci,id=bus',
      'ide-hd,drive=disk,bus=bus.0,bootindex=1,werror=stop,rerror=stop',
      'ide-cd,drive=cd,bus=bus.1,bootindex=2',
      'ide-hd,drive=seed,bus=bus.2,werror=stop,rerror=stop',
    ]);
  });

  it('attaches media where they are wanted', () => {
    expect(values(driveDevices('nvme', [disk, cd], 'ide'))).toContain('ide-cd,drive=cd,bus=ide.0,unit=0,bootindex=2');
    expect(MEDIA_BUS_NAMES).toEqual(['sata', 'ide', 'virtio-scsi', 'pvscsi', 'lsi']);
  });

  it('does not ask NVMe for what it cannot do', () => {
    expect(values(driveDevices('nvme', [disk]))).toEqual(['nvme,drive=disk,serial=polyvisor-0,bootindex=1']);
  });

  it('knows how many a controller takes', () => {
    const many = Array.from({ length: 5 }, (_value, index): Drive => ({ drive: `cd${index}`, kind: 'cdrom' }));
    expect(() => driveDevices('ide', many)).toThrow('a controller of kind ide has 4 places');
  });
});

it('has an IDE bus of the old kind where one is wanted', () => {
  expect(defaultMachine('bios', ['virtio'])).toBe('pc');
  expect(defaultMachine('uefi', ['virtio'])).toBe('q35');
  expect(defaultMachine('uefi', ['sata', 'ide'])).toBe('pc');
});
