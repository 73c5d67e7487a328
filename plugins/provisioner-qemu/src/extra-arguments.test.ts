import { describe, expect, it } from 'vitest';
import { conflictsOf } from './extra-arguments.js';

describe('conflictsOf', () => {
  it.each([
    ['-device', 'usb-ehci', '-device', 'usb-tablet,id=tablet'],
    ['-netdev', 'user,id=other', '-device', 'e1000,netdev=other'],
    ['-drive', 'if=none,id=data,file=/data.raw,format=raw', '-device', 'virtio-blk-pci,drive=data'],
    ['-machine', 'hpet=off,smm=on'],
    ['-fw_cfg', 'name=opt/com.example/key,string=value'],
    ['-smbios', 'type=1,serial=bus'],
    ['-smbios', 'type=11,value=medium,,or=network'],
    ['-usb'],
    ['-rtc', 'base=localtime'],
    ['-serial', 'file:/tmp/second.log'],
    ['-blockdev', '{"driver":"null-co","node-name":"nothing"}'],
    ['-set', 'device.tablet.port=2'],
    ['--global', 'isa-fdc.fdtypeA=120'],
  ])('adds %s %s', (...args) => {
    expect(conflictsOf(args)).toEqual([]);
  });

  it.each([
    [['-m', '4G'], 'say it with `memory` in the definition'],
    [['--smp', '4'], 'say it with `cpus`'],
    [['-cpu', 'host'], 'take the option `cpu`'],
    [['-machine', 'q35'], 'take the option `machine`'],
    [['-M', 'type=q35,smm=on'], 'take the option `machine`'],
    [['-machine', 'accel=kvm'], 'take the option `acceleration`'],
    [['-enable-kvm'], 'take the option `acceleration`'],
    [['-nographic'], 'take the option `display`'],
    [['-netdev', 'tap,id=network'], 'the id "network" is taken'],
    [['-device', 'e1000,netdev=network'], 'the netdev "network" is taken'],
    [['-drive', 'id=disk,file=/x'], 'the id "disk" is taken'],
    [['-device', 'ide-hd,drive=disk'], 'the drive "disk" is taken'],
    [['-device', 'virtio-scsi-pci,id=bus'], 'the id "bus" is taken'],
    [['-blockdev', '{"driver":"raw","node-name":"medium0"}'], 'the node-name "medium0" is taken'],
    [['-blockdev', 'driver=qcow2,node-name=mine,file=disk'], 'the file "disk" is taken'],
    [['-chardev', 'null,id=serial'], 'the id "serial" is taken'],
    [['-serial', 'chardev:serial'], 'serial is part of the machine already'],
    [['-chardev', 'stdio,id=mine'], 'polyvisor itself talks to QEMU'],
    [['-monitor', 'stdio'], 'polyvisor itself talks to QEMU'],
    [['-serial', 'mon:stdio'], 'polyvisor itself talks to QEMU'],
    [['-set', 'drive.disk.readonly=on'], 'disk is part of the machine already'],
    [['-snapshot'], 'nothing would be left of the disk'],
    [['-nodefaults'], 'it is given already'],
    [['-no-reboot'], 'it would keep polyvisor from following the machine'],
    [['-readconfig', 'x.cfg'], 'what is in a file cannot be checked'],
    [['/disk.img'], 'is no option'],
    [['-usb', 'stray', 'words'], 'is no option'],
  ])('refuses %j', (args, reason) => {
    expect(conflictsOf(args).join('\n')).toContain(reason);
  });

  it('tells everything that is wrong', () => {
    expect(conflictsOf(['-m', '1G', '-usb', '-smp', '2'])).toHaveLength(2);
  });
});
