import type { MachineSpec, Start } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { machineArguments } from './machine-arguments.js';
import { qemuOptions } from './options.js';

const spec: MachineSpec = {
  name: 'a-1',
  architecture: 'x86_64',
  firmware: 'bios',
  cpus: 2,
  memory: 512 * 2 ** 20,
  guest: 'debian',
  disk: '/job/a,b.raw',
  media: [
    { kind: 'cdrom', path: '/installer.iso' },
    { kind: 'disk', path: '/seed.img' },
  ],
  forwardedPorts: [22, 80],
  serialLog: '/log/a,b.log',
  firmwareStrings: ['x'],
};

const DISK: Start = { kind: 'disk' };
const KERNEL: Start = { kind: 'kernel', kernel: '/k', initrd: '/i', arguments: ['a=1,2', 'quiet'] };
const NETWORK: Start = { kind: 'network', directory: '/boot,files', bootFile: 'pxelinux.0' };

function line(start: Start = DISK, options: z.input<typeof qemuOptions> = {}, changes: Partial<MachineSpec> = {}) {
  const uefi = changes.firmware === 'uefi' ? { code: '/code.fd', variables: '/vars.fd' } : undefined;
  const files = { pid: '/job/qemu.pid', firmwareStrings: ['/job/s,0'], uefi };
  return machineArguments({ ...spec, ...changes }, start, qemuOptions.parse(options), 'tcg', files);
}

const after = (args: readonly string[], option: string) =>
  args.flatMap((argument, index) => (argument === option ? [args[index + 1] ?? ''] : []));

describe('machineArguments', () => {
  it('opens the disk so that what is discarded or zero becomes a hole, and media read-only', () => {
    const nodes = after(line(), '-blockdev').map((text) => JSON.parse(text) as unknown);
    expect(nodes).toEqual([
      {
        driver: 'raw',
        'node-name': 'disk',
        discard: 'unmap',
        'detect-zeroes': 'unmap',
        cache: { direct: false, 'no-flush': true },
        file: { driver: 'file', filename: '/job/a,b.raw' },
      },
      expect.objectContaining({ 'node-name': 'medium0', 'read-only': true }),
      expect.objectContaining({ 'node-name': 'medium1', 'read-only': true }),
    ]);
  });

  it('starts the disk, then the media, and lets restarts happen', () => {
    const devices = after(line(), '-device').filter((device) => device.includes('bootindex='));
    expect(devices.map((device) => /drive=(\w+).*bootindex=(\d)/.exec(device)?.slice(1))).toEqual([
      ['disk', '2'],
      ['medium0', '3'],
      ['medium1', '4'],
    ]);
    expect(after(line(), '-action')).toEqual(['panic=pause']);
    expect(line().join(' ')).not.toMatch(/tftp|-kernel/);
  });

  it('starts a kernel, and stops at a restart', () => {
    const args = line(KERNEL);
    expect(['-kernel', '-initrd', '-append'].map((option) => after(args, option))).toEqual([
      ['/k'],
      ['/i'],
      ['a=1,2 quiet'],
    ]);
    expect(after(args, '-action')).toEqual(['reboot=shutdown,panic=pause']);
    expect(args.filter((argument) => argument.includes('medium') && argument.includes('bootindex'))).toEqual([]);
  });

  it('offers files over the network to this guest alone, and stops at a restart', () => {
    const args = line(NETWORK);
    expect(after(args, '-netdev')[0]).toContain('tftp=/boot,,files,bootfile=pxelinux.0');
    expect(after(args, '-device').find((device) => device.includes('netdev='))).toBe(
      'virtio-net-pci,netdev=network,bootindex=1',
    );
    expect(after(args, '-action')).toEqual(['reboot=shutdown,panic=pause']);
  });

  it('forwards ports of this computer alone, whichever are free', () => {
    expect(after(line(), '-netdev')).toEqual([
      'user,id=network,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:80',
    ]);
  });

  it('appends to the serial log, and hands firmware strings over in files', () => {
    expect(after(line(), '-chardev')).toEqual(['file,id=serial,append=on,path=/log/a,,b.log']);
    expect(after(line(), '-smbios')).toEqual(['type=11,path=/job/s,,0']);
  });

  it('makes the machine that firmware and bus want, or the one that is asked for', () => {
    expect(after(line(), '-machine')).toEqual(['pc']);
    expect(after(line(DISK, {}, { firmware: 'uefi' }), '-machine')).toEqual(['q35']);
    expect(after(line(DISK, { 'media-bus': 'ide' }, { firmware: 'uefi' }), '-machine')).toEqual(['pc']);
    expect(after(line(DISK, { machine: 'pc-i440fx-7.2' }, { firmware: 'uefi' }), '-machine')).toEqual([
      'pc-i440fx-7.2',
    ]);
    expect(after(line(DISK, { cpu: 'Nehalem' }), '-cpu')).toEqual(['Nehalem']);
  });

  it("adds a person's arguments at the end, and loses none of its own", () => {
    const extra = ['-device', 'usb-ehci', '-netdev', 'user,id=other'];
    expect(line(DISK, { arguments: extra })).toEqual([...line(), ...extra]);
  });
});
