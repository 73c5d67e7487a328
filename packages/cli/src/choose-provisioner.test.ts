import type { DiskSourceImage, Event, Provisioner, Source } from '@polyvisor/core';
import type { Definition } from '@polyvisor/definition';
import { sampleAppliance } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { provisionerFor } from './choose-provisioner.js';

const packages = sampleAppliance.source;
const disk: DiskSourceImage = {
  kind: 'disk',
  image: { locations: ['https://example.org/a.img'], checksum: 'none' },
  answers: { http: [] },
  access: { user: 'root', port: 22, timeout: 1, become: 'none' },
};

function definition(...sources: readonly Source[]): Definition {
  return {
    sources,
    appliance: sampleAppliance,
    file: 'definition.yaml',
    issueAt: (path: readonly unknown[], message: string) => ({
      file: 'definition.yaml',
      line: Number(path[1] ?? 0),
      message,
    }),
  } as unknown as Definition;
}

function provisioner(id: string, sources: readonly Source['kind'][], usable = true, more: object = {}): Provisioner {
  return {
    id,
    capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], sources, ...more },
    probe: () => Promise.resolve(usable ? { usable, version: '1' } : { usable, reason: 'broken', hint: 'mend it' }),
  } as unknown as Provisioner;
}

describe('a definition that names no provisioner', () => {
  const said: string[] = [];
  const choose = async (wanted: Definition, ...all: readonly Provisioner[]) => {
    said.splice(0);
    const emit = (event: Event) => void (event.type === 'log' && said.push(event.message));
    return (await provisionerFor(wanted, all, emit, new AbortController().signal))?.id;
  };
  const machine = provisioner('machine', ['installer', 'disk']);
  const rootfs = provisioner('rootfs', ['packages']);

  it('gets the one that can serve the source that it prefers', async () => {
    expect(await choose(definition(packages, disk), machine, rootfs)).toBe('rootfs');
    expect(await choose(definition(disk, packages), rootfs, machine)).toBe('machine');
    expect(await choose(definition(disk), rootfs, machine, provisioner('other', ['disk']))).toBe('machine');
    expect(said).toEqual([]);
  });

  it('gets another where that one does not work, and is told why', async () => {
    const broken = provisioner('rootfs', ['packages'], false);
    expect(await choose(definition(packages, disk), broken, machine)).toBe('machine');
    expect(said).toEqual(['the provisioner rootfs cannot work on this machine: broken']);
  });

  it('gets the one that would do where none works', async () => {
    expect(
      await choose(definition(packages), provisioner('machine', ['disk']), provisioner('rootfs', ['packages'], false)),
    ).toBe('rootfs');
  });

  it('gets none that cannot make its kind of machine, while there is another', async () => {
    const arm = provisioner('arm', ['packages'], true, { architectures: ['arm64'] });
    const bios = provisioner('bios', ['packages'], true, { firmware: [] });
    expect(await choose(definition(packages, disk), arm, bios, machine)).toBe('machine');
  });

  it('is told what every one of several has against every source', async () => {
    await expect(
      choose(
        definition(packages, { ...disk, image: { locations: [], checksum: 'none' } }),
        machine,
        provisioner('b', []),
      ),
    ).rejects.toMatchObject({
      code: 'source-unusable',
      issues: [
        { line: 0, message: expect.stringContaining('machine: packages of debian bookworm: ') as string },
        { line: 1, message: 'machine: the disk an image without a location: no location is given for its image' },
        { line: 0, message: expect.stringContaining('b: packages') as string },
        { line: 1, message: expect.stringContaining('b: the disk') as string },
      ],
    });
  });

  it('is left to the build where there is one or none', async () => {
    expect(await choose(definition(disk), rootfs)).toBe('rootfs');
    expect(await choose(definition(disk))).toBeUndefined();
  });
});
