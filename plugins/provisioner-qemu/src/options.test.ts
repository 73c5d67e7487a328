import { parseOptions } from '@polyvisor/core';
import { expect, it } from 'vitest';
import { qemuOptions } from './options.js';

const parse = (options: unknown) => parseOptions('options', qemuOptions, options);

it('needs none', () => {
  expect(parse({})).toEqual({
    bus: 'virtio',
    'media-bus': 'auto',
    'network-card': 'virtio',
    acceleration: 'auto',
    binary: 'qemu-system-x86_64',
    arguments: [],
    display: 'none',
  });
});

it('takes one argument as a list of one, as a command line gives it', () => {
  expect(parse({ arguments: '-usb' }).arguments).toEqual(['-usb']);
});

it('tells of every argument that would replace one of ours', () => {
  expect(() => parse({ arguments: ['-m', '1G', '-netdev', 'tap,id=network'] })).toThrow(
    /"-m 1G" cannot be added: .*memory.*"-netdev tap,id=network" cannot be added/,
  );
});

it.each([
  [{ machine: 'q35', bus: 'ide' }, 'q35 has no IDE bus'],
  [{ machine: 'pc-q35-7.2', 'media-bus': 'ide' }, 'q35 has no IDE bus'],
  [{ machine: 'pc,accel=kvm' }, 'machine: say pc'],
  [{ cpu: 'host,' }, 'cpu: say a model'],
  [{ bus: 'floppy' }, 'bus: '],
  [{ 'media-bus': 'virtio' }, 'media-bus: '],
  [{ nonsense: 1 }, 'nonsense'],
])('refuses %j', (options, reason) => {
  expect(() => parse(options)).toThrow(reason);
});
