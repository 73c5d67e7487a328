import { mkdtemp, readdir, rm, writeFile, symlink, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  commitOutputs,
  compareDisks,
  createOutput,
  type DiskConverter,
  digest,
  type DiskSource,
  openImageFile,
  pump,
} from '@polyvisor/core';
import { job, type MemorySink, memoryDisk, memoryFile, memorySink, noise, texture, write } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ova } from './ova.js';
import { ovf } from './ovf-converter.js';
import { verifyManifest } from './reader.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;

const first = () => memoryDisk(8 * MiB, [{ offset: MiB, bytes: texture(300_000, 3) }]);
const second = () => memoryDisk(3 * MiB + 512, [{ offset: 0, bytes: noise(70_000, 4) }]);
const third = () => memoryDisk(MiB, []);

/** Writes disks as the host does: one pass for each, `nextDisk` between them. */
async function writeAll(
  converter: DiskConverter,
  disks: readonly DiskSource[],
  options: object = {},
  sink: MemorySink = memorySink(),
): Promise<MemorySink> {
  const [head, ...rest] = disks;
  const writer = await converter.create({
    ...job(head?.size ?? 0, sink, options),
    furtherDisks: rest.map(({ size }) => size),
    output: { name: 'vm.ovf', beside: (name) => sink.beside(name) },
  });
  for (const [index, disk] of disks.entries()) {
    if (index > 0) await writer.nextDisk?.();
    expect(writer.size).toBeGreaterThanOrEqual(disk.size);
    await pump(disk, [writer], { signal });
  }
  await writer.finish();
  return sink;
}

async function expectEqual(disk: DiskSource, wanted: DiskSource): Promise<void> {
  expect(await compareDisks(wanted, disk, { signal })).toEqual({ equal: true });
}

describe.each([ova, ovf])('$id with several disks', (converter) => {
  const name = converter === ova ? 'sample' : 'vm';
  let sink: MemorySink;
  beforeAll(async () => {
    sink = await writeAll(converter, [first(), second(), third()]);
  });
  const open = (disk?: string) => converter.open(sink.file(`${name}.ovf`), disk === undefined ? {} : { disk });

  it('reads back each of them, by number, file or identifier', async () => {
    for (const [choices, wanted] of [
      [['1', `${name}-disk1.vmdk`, 'vmdisk1'], first],
      [['2', `${name}-disk2.vmdk`, 'vmdisk2'], second],
      [['3', `${name}-disk3.vmdk`, 'vmdisk3'], third],
    ] as const) {
      for (const choice of choices) {
        const { disk, disks, facts } = await open(choice);
        await expectEqual(disk, wanted());
        expect(facts['disk']).toBe(`${choices[0]} of 3`);
        expect(disks).toEqual([
          { name: `${name}-disk1.vmdk`, size: 8 * MiB },
          { name: `${name}-disk2.vmdk`, size: 3 * MiB + 64 * 1024 },
          { name: `${name}-disk3.vmdk`, size: MiB },
        ]);
        await disk[Symbol.asyncDispose]();
      }
    }
  });

  it('asks which one is meant', async () => {
    await expect(open()).rejects.toMatchObject({
      name: 'FormatError',
      code: 'ova-several-disks',
      hint: expect.stringContaining('--disk') as string,
      message: expect.stringContaining(
        `has 3 disks; 1: ${name}-disk1.vmdk (8.00 MiB), 2: ${name}-disk2.vmdk (3.06 MiB), 3: ${name}-disk3.vmdk (1.00 MiB)`,
      ) as string,
    });
    for (const wrong of ['0', '4', 'x', '__proto__', ''])
      await expect(open(wrong)).rejects.toMatchObject({ code: 'ova-no-such-disk' });
  });

  it('is the same every time', async () => {
    const again = await writeAll(converter, [first(), second(), third()]);
    expect(await digest(again.file(), 'sha256')).toBe(await digest(sink.file(), 'sha256'));
    for (const [file, content] of sink.files)
      expect(await digest(again.files.get(file)?.file() ?? memoryFile(new Uint8Array()), 'sha256')).toBe(
        await digest(content.file(), 'sha256'),
      );
  });

  it('gives each disk an identity of its own', async () => {
    const ids = new Set<unknown>();
    for (const choice of ['1', '2', '3']) ids.add((await open(choice)).facts['VMDK content id']);
    expect(ids.size).toBe(3);
  });
});

describe('the files of an OVA with several disks', () => {
  it('are listed in its manifest, in order', async () => {
    const sink = await writeAll(ova, [first(), second()]);
    expect((await verifyManifest(sink.file())).map(({ name }) => name)).toEqual([
      'sample.ovf',
      'sample-disk1.vmdk',
      'sample-disk2.vmdk',
    ]);
  });
});

describe('the controllers of several disks', () => {
  const described = async (disks: number, options: object) => {
    const sink = await writeAll(ovf, Array.from({ length: disks }, third), options);
    const text = Buffer.from(sink.bytes()).toString();
    const values = (name: string) =>
      [...text.matchAll(new RegExp(`<rasd:${name}>([^<]*)<`, 'g'))].map(([, value]) => value);
    const ids = values('InstanceID');
    expect(new Set(ids).size).toBe(ids.length);
    for (const parent of values('Parent')) expect(ids).toContain(parent);
    return { text, units: values('AddressOnParent').map(Number), parents: values('Parent').map(Number) };
  };

  it('leave the SCSI unit of the adapter out, and grow in number', async () => {
    const { units, parents } = await described(17, {});
    expect(units).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1]);
    expect(parents).toEqual([...Array.from({ length: 15 }, () => 3), 4, 4]);
  });

  it('have two disks each on IDE', async () => {
    const { units, parents } = await described(3, { controller: 'ide', networks: ['A', 'B'] });
    expect(units).toEqual([0, 1, 0, 0, 1]);
    expect(parents).toEqual([3, 3, 4]);
  });

  it("are described in VirtualBox's own words too", async () => {
    const { text } = await described(3, { flavour: 'virtualbox', firmware: 'uefi', controller: 'sata' });
    expect(text).toContain('PortCount="3"');
    expect(
      [...text.matchAll(/<AttachedDevice type="HardDisk" port="(\d)" device="(\d)"/g)].map(([, port]) => port),
    ).toEqual(['0', '1', '2']);
    expect(new Set([...text.matchAll(/vbox:uuid="([^"]+)"/g)].map(([, uuid]) => uuid)).size).toBe(3);
    const ide = await described(4, { flavour: 'virtualbox', firmware: 'uefi', controller: 'ide' });
    expect([...ide.text.matchAll(/port="(\d)" device="(\d)"/g)].map(([, port, device]) => `${port}${device}`)).toEqual([
      '00',
      '01',
      '10',
      '11',
    ]);
  });

  it.each([
    [61, {}, /at most 60 disks on lsilogic/],
    [5, { controller: 'ide' }, /at most 4 disks on ide/],
    [16, { flavour: 'virtualbox' }, /at most 15 disks/],
    [31, { flavour: 'virtualbox', controller: 'sata' }, /at most 30 disks/],
  ])('are refused when there are %i disks on %j', async (count, options, message) => {
    const further = Array.from({ length: count - 1 }, () => MiB);
    for (const converter of [ova, ovf])
      await expect(converter.create({ ...job(MiB, memorySink(), options), furtherDisks: further })).rejects.toThrow(
        message,
      );
  });
});

describe('an OVF folder', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    const outputs = [await createOutput(join(folder, 'vm (1).ovf'), false)];
    const writer = await ovf.create({
      ...job(8 * MiB, memorySink(), {}),
      sink: outputs[0]?.sink ?? memorySink(),
      output: {
        name: 'vm (1).ovf',
        beside: async (name) => {
          const output = await createOutput(join(folder, name), false);
          outputs.push(output);
          return output.sink;
        },
      },
    });
    await pump(first(), [writer], { signal });
    await writer.finish();
    await commitOutputs(outputs, false);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const open = async (name: string) => {
    const file = await openImageFile(join(folder, name));
    try {
      return { file, image: await ovf.open(file) };
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  };
  /** A descriptor like the one written, with something changed, under a name without a manifest. */
  const variant = async (from: string | RegExp, to: string) => {
    const text = await readFile(join(folder, 'vm (1).ovf'), 'utf8');
    expect(text).toMatch(from);
    await writeFile(join(folder, 'other.ovf'), text.replace(from, to));
    return open('other.ovf');
  };

  it('has plain names, is recognised and read', async () => {
    expect((await readdir(folder)).sort()).toEqual(['vm (1).mf', 'vm (1).ovf', 'vm-1-disk1.vmdk']);
    const { file, image } = await open('vm (1).ovf');
    expect(await ovf.detect(file)).toBe('yes');
    expect(image.facts).toMatchObject({ manifest: 'sha256', 'disk file': 'vm-1-disk1.vmdk' });
    await expectEqual(image.disk, first());
    await image.disk[Symbol.asyncDispose]();
    await file[Symbol.asyncDispose]();
  });

  it('can be booted in place', async () => {
    await using file = await openImageFile(join(folder, 'vm (1).ovf'));
    expect(await ovf.blockNode?.(file)).toEqual({
      driver: 'vmdk',
      file: { driver: 'file', filename: join(folder, 'vm-1-disk1.vmdk') },
    });
  });

  it('finds files whose names are escaped', async () => {
    const { file, image } = await variant('vm-1-disk1.vmdk', 'vm%2D1-disk1.vmdk');
    await expectEqual(image.disk, first());
    await image.disk[Symbol.asyncDispose]();
    await file[Symbol.asyncDispose]();
  });

  it.each([
    ['/etc/passwd', 'file-foreign'],
    ['../vm-1-disk1.vmdk', 'file-foreign'],
    ['%2e%2e%2fvm-1-disk1.vmdk', 'file-foreign'],
    ['..', 'file-foreign'],
    ['C:x.vmdk', 'file-foreign'],
    ['http://example.org/x.vmdk', 'file-foreign'],
    ['file:///etc/passwd', 'file-foreign'],
    ['a\\b.vmdk', 'file-foreign'],
    ['link.vmdk', 'file-foreign'],
    ['absent.vmdk', 'ova-invalid'],
    ['', 'ova-invalid'],
  ])('is refused when it refers to %j', async (href, code) => {
    await symlink('/etc/passwd', join(folder, 'link.vmdk')).catch(() => undefined);
    await expect(variant('vm-1-disk1.vmdk', href)).rejects.toMatchObject({ name: 'FormatError', code });
  });

  it('is refused when its manifest gives another digest of the descriptor', async () => {
    const text = await readFile(join(folder, 'vm (1).ovf'), 'utf8');
    await writeFile(join(folder, 'forged.ovf'), text.replace('sample</Name>', 'forged</Name>'));
    const manifest = await readFile(join(folder, 'vm (1).mf'), 'utf8');
    await writeFile(join(folder, 'forged.mf'), manifest.replace('(vm (1).ovf)', '(forged.ovf)'));
    await expect(open('forged.ovf')).rejects.toMatchObject({ code: 'ova-digest-mismatch' });
  });

  it('reads nothing where there is no beside, as in an archive or a pipe', async () => {
    const { sink } = await write(ovf, first(), {});
    await expect(ovf.open(memoryFile(sink.bytes(), 'x.ovf'))).rejects.toMatchObject({ code: 'ova-invalid' });
  });

  it('is told from other XML', async () => {
    expect(await ovf.detect(memoryFile(Buffer.from('<html/>')))).toBe('no');
    expect(await ovf.detect(memoryFile(Buffer.from('<Envelope>')))).toBe('maybe');
    expect(await ovf.detect(memoryFile(Buffer.from('plain <Envelope ')))).toBe('no');
    expect(await ovf.detect(memoryFile(Buffer.alloc(2 * MiB, '<')))).toBe('no');
  });
});
