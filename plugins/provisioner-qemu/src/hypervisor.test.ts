import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineSpec } from '@polyvisor/core';
import { available, createTestContext, describeHypervisor } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { createQemuHypervisor, qemuCapabilities } from './hypervisor.js';
import { qemuOptions } from './options.js';

// Without QEMU nothing here can be true; where CI is set this throws, elsewhere the tests are left out by name.
const tested = available('qemu-system-x86_64', 'qemu-system-x86');

describe.runIf(tested)('machines in QEMU', () => {
  // Emulated everywhere, for equal results on computers with and without KVM.
  describeHypervisor((context) => createQemuHypervisor(context, qemuOptions.parse({ acceleration: 'tcg' })), {
    capabilities: qemuCapabilities,
  });
});

describe('createQemuHypervisor', () => {
  const spec: MachineSpec = {
    name: 'a',
    architecture: 'x86_64',
    firmware: 'bios',
    cpus: 1,
    memory: 2 ** 26,
    guest: '',
    disk: '/none.raw',
    media: [],
    forwardedPorts: [],
    serialLog: '/none.log',
    firmwareStrings: [],
  };
  const refusal = async (changes: Partial<MachineSpec>) => {
    const directory = await mkdtemp(join(tmpdir(), 'provisioner-qemu-'));
    try {
      const hypervisor = createQemuHypervisor(
        createTestContext(),
        qemuOptions.parse({ acceleration: 'tcg', bus: 'ide' }),
      );
      const signal = new AbortController().signal;
      return await hypervisor.create({ ...spec, ...changes }, directory, signal).catch((error: unknown) => error);
    } finally {
      await rm(directory, { recursive: true });
    }
  };

  it.each([
    ['architecture-unsupported', { architecture: 'arm64' }],
    ['media-too-many', { media: Array.from({ length: 4 }, () => ({ kind: 'cdrom', path: '/x.iso' })) }],
    ['firmware-strings-invalid', { firmwareStrings: [''] }],
    ['firmware-strings-invalid', { firmwareStrings: ['a\0b'] }],
    ['firmware-strings-invalid', { firmwareStrings: ['x'.repeat(40_000)] }],
  ] satisfies [string, Partial<MachineSpec>][])('refuses what it cannot make: %s', async (code, changes) => {
    expect(await refusal(changes)).toMatchObject({ code });
  });
});
