import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareDisks, openImageFile } from '@polyvisor/core';
import {
  available,
  memoryDisk,
  noise,
  startVirtualBox,
  texture,
  type VirtualBox,
  vboxManage,
  writeRaw,
} from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConverters } from './converters.js';

const MiB = 1024 * 1024;
const never = new AbortController().signal;

const converters = await loadConverters();
const extensions = new Set(converters.map(({ extension }) => extension));

/** Everything that `VBoxManage convertfromraw` can make. */
const made = [
  { format: 'VDI', variant: 'Standard' },
  { format: 'VDI', variant: 'Fixed' },
  { format: 'VHD', variant: 'Standard' },
  { format: 'VHD', variant: 'Fixed' },
  { format: 'VMDK', variant: 'Standard' },
  { format: 'VMDK', variant: 'Fixed' },
  { format: 'VMDK', variant: 'Split2G' },
  { format: 'VMDK', variant: 'Split2G,Fixed' },
  { format: 'VMDK', variant: 'Stream' },
  { format: 'VMDK', variant: 'Fixed,ESX' },
]
  .map((kind) => ({ ...kind, extension: `.${kind.format.toLowerCase()}` }))
  // What no plugin of this repository is for.
  .filter(({ extension }) => extensions.has(extension));

/** An odd size, both ends, and zeros inside data. */
const disk = () =>
  memoryDisk(9 * MiB + 3 * 512, [
    { offset: 0, bytes: texture(70_144, 1) },
    { offset: 4 * MiB - 512, bytes: noise(2 * MiB, 2) },
    { offset: 9 * MiB + 2 * 512, bytes: noise(512, 3) },
  ]);

describe.skipIf(!available(vboxManage(), 'virtualbox'))('images that VirtualBox made', () => {
  let box: VirtualBox;
  let raw = '';
  beforeAll(async () => {
    box = await startVirtualBox();
    raw = join(box.directory, 'disk.raw');
    await writeRaw(disk(), raw);
  });
  afterAll(() => box[Symbol.asyncDispose]());

  it.each(made)('are read as they are: $format, $variant', async ({ format, variant, extension }) => {
    const image = join(box.directory, `${variant.replace(',', '-')}${extension}`);
    await box.manage('convertfromraw', raw, image, '--format', format, '--variant', variant);
    await expectRead(image, raw);
  });

  it.each(made)('are read when they are empty: $format, $variant', async ({ format, variant, extension }) => {
    const image = join(box.directory, `empty-${variant.replace(',', '-')}${extension}`);
    const size = 5 * MiB + 512;
    // A stream is only ever written from data.
    if (variant === 'Stream') return;
    await box.manage(
      'createmedium',
      'disk',
      '--filename',
      image,
      '--sizebyte',
      `${size}`,
      '--format',
      format,
      '--variant',
      variant,
    );
    const zeros = join(box.directory, 'zeros.raw');
    await writeFile(zeros, '');
    await truncate(zeros, size);
    await expectRead(image, zeros);
  });

  it.each(['--ovf10', '--ovf20'])('are read out of the appliances that it exports: %s', async (version) => {
    const name = `exported${version}`;
    const image = join(box.directory, `${name}.vdi`);
    await box.manage('convertfromraw', raw, image, '--format', 'VDI');
    await box.manage(
      'createvm',
      '--name',
      name,
      '--ostype',
      'Debian_64',
      '--register',
      '--basefolder',
      join(box.directory, 'vms'),
    );
    await box.manage('storagectl', name, '--name', 'SATA', '--add', 'sata');
    const attach = ['--storagectl', 'SATA', '--port', '0', '--device', '0', '--type', 'hdd', '--medium', image];
    await box.manage('storageattach', name, ...attach);
    const archive = join(box.directory, `${name}.ova`);
    await box.manage('export', name, '--output', archive, version, '--manifest');
    await expectRead(archive, raw);
  });
});

/** By every converter that is sure about it, without findings that anybody would refuse it for. */
async function expectRead(path: string, raw: string): Promise<void> {
  await using file = await openImageFile(path);
  const detections = await Promise.all(converters.map((converter) => converter.detect(file)));
  const readers = converters.filter((_, index) => detections[index] === 'yes');
  expect(readers, `converters that recognise ${path}`).not.toEqual([]);
  await using expected = await openImageFile(raw);
  for (const converter of readers) {
    await using disk = (await converter.open(file)).disk;
    expect(disk.size, `size of ${path}`).toBeGreaterThanOrEqual(expected.size);
    expect(disk.size - expected.size).toBeLessThan(2 * MiB);
    expect(await compareDisks(expected, disk, { signal: never }), path).toEqual({ equal: true });
    for await (const finding of converter.check?.(file, { signal: never, consumer: 'virtualbox' }) ?? []) {
      expect(finding.refusedBy, `${path}: ${finding.rule}`).not.toContain('virtualbox');
    }
  }
}
