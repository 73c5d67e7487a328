import { probeArguments } from '@polyvisor/qemu';
import { describe, expect, it } from 'vitest';
import { BUS_NAMES, machineArguments, type MachineDescription } from './arguments.js';

const machine: MachineDescription = {
  node: { driver: 'qcow2', file: { driver: 'file', filename: '/tmp/a,b.qcow2' } },
  bus: 'virtio',
  accelerator: 'tcg',
  firmware: 'bios',
  cpus: 2,
  memory: 512 * 2 ** 20,
  qmpSocket: 'qmp.sock',
};

const after = (args: readonly string[], option: string) =>
  args.flatMap((argument, index) => (argument === option ? [args[index + 1]] : []));

describe('machineArguments', () => {
  it('opens the image below a snapshot, whatever its name', () => {
    const drives = after(machineArguments(machine), '-drive');
    expect(drives).toEqual([
      'if=none,id=disk,snapshot=on,file=json:{"driver":"qcow2",,"file":{"driver":"file",,"filename":"/tmp/a,,b.qcow2"}}',
    ]);
  });

  it.each(BUS_NAMES)('attaches the one disk to %s', (bus) => {
    const devices = after(machineArguments({ ...machine, bus }), '-device').filter((device) =>
      device?.includes('drive=disk'),
    );
    expect(devices).toHaveLength(1);
    expect(devices[0]).toContain('bootindex=0');
  });

  it('gives a guest no way out', () => {
    expect(after(machineArguments(machine), '-netdev')).toEqual(['user,id=network,restrict=on']);
  });

  it('brings the firmware of UEFI, its code read-only, and no sign of it for BIOS', () => {
    const uefi = machineArguments({ ...machine, firmware: 'uefi', uefi: { code: '/code.fd', variables: '/vars.fd' } });
    expect(after(uefi, '-machine')).toEqual(['q35']);
    expect(after(uefi, '-drive').slice(0, 2)).toEqual([
      'if=pflash,unit=0,format=raw,readonly=on,file=/code.fd',
      'if=pflash,unit=1,format=raw,file=/vars.fd',
    ]);
    expect(machineArguments(machine).join(' ')).not.toContain('pflash');
  });

  it('translates on several threads where there is no acceleration', () => {
    expect(after(machineArguments(machine), '-accel')).toEqual(['tcg,thread=multi']);
    expect(after(machineArguments({ ...machine, accelerator: 'kvm' }), '-cpu')).toEqual(['host']);
  });
});

describe('probeArguments', () => {
  it('tries the accelerator alone, with the processor that is used later', () => {
    const args = probeArguments('kvm', '/x');
    expect(after(args, '-accel')).toEqual(['kvm']);
    expect(after(args, '-cpu')).toEqual(after(machineArguments({ ...machine, accelerator: 'kvm' }), '-cpu'));
  });
});
