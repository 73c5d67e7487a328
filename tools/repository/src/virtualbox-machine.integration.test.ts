import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type DiskSource, type Hypervisor, type KeyName, openImageFile, type PluginContext } from '@polyvisor/core';
import {
  available,
  createTestContext,
  ECHO_GUEST_COUNTER,
  echoGuest,
  memoryDisk,
  startVirtualBox,
  vboxManage,
  write,
} from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadConverters } from './converters.js';
import { root } from './repository.js';

const MIB = 1024 * 1024;
const LIMIT = 120_000;
const signal = new AbortController().signal;
const tested = available(vboxManage(), 'virtualbox (the set-up of `npm test` brings it, or says why it does not)');

interface Plugin {
  readonly VirtualBox: new (context: PluginContext, options: unknown) => Hypervisor;
}
interface Options {
  readonly virtualboxOptions: { parse(options: object): unknown };
}

/** Nothing imports a plugin; what is tried here is how several of them go together. */
async function load<T>(file: string): Promise<T> {
  return (await import(pathToFileURL(join(root, 'plugins/provisioner-virtualbox/src', file)).href)) as T;
}

const converters = await loadConverters();

async function open(path: string, id: string): Promise<DiskSource & AsyncDisposable> {
  const converter = converters.find((one) => one.id === id);
  if (converter === undefined) throw new Error(`there is no converter ${id}`);
  const { disk } = await converter.open(await openImageFile(path));
  return disk;
}

/** Waits for it. */
async function says(serialLog: string, expected: RegExp): Promise<void> {
  await vi.waitFor(async () => expect(await readFile(serialLog, 'latin1')).toMatch(expected), { timeout: LIMIT });
}

async function bytesOf(disk: DiskSource, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await disk.read(bytes, offset);
  return bytes;
}

describe.runIf(tested)('a guest in VirtualBox', () => {
  let directory = '';
  beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'))));
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('goes from a disk that we write to an appliance that we read', { timeout: LIMIT }, async () => {
    const vdi = converters.find(({ id }) => id === 'vdi');
    if (vdi === undefined) throw new Error('there is no converter vdi');
    const disk = join(directory, 'disk.vdi');
    await writeFile(disk, (await write(vdi, memoryDisk(MIB, [{ offset: 0, bytes: echoGuest() }]), {})).sink.bytes());

    const { VirtualBox } = await load<Plugin>('hypervisor.ts');
    const { virtualboxOptions } = await load<Options>('options.ts');
    const context = createTestContext();
    const hypervisor = new VirtualBox(context, virtualboxOptions.parse({ vboxmanage: vboxManage() }));
    expect((await hypervisor.acceleration(signal)).description.length).toBeGreaterThan(0);
    const workDir = join(directory, 'work');
    await mkdir(workDir);
    const serialLog = join(directory, 'serial.log');
    const machine = await hypervisor.create(
      {
        name: 'polyvisor-guest',
        architecture: 'x86_64',
        firmware: 'bios',
        cpus: 1,
        memory: 64 * MIB,
        guest: 'linux',
        disk,
        media: [],
        forwardedPorts: [22],
        serialLog,
        firmwareStrings: [],
      },
      workDir,
      signal,
    );
    await machine.start({ kind: 'disk' }, signal);
    await says(serialLog, /start 0001/);
    const keys = [...'hello'].map((name) => ({ name: name as KeyName, action: 'type' }) as const);
    await machine.press(keys, signal);
    await says(serialLog, /hello$/);
    expect(Buffer.from(await machine.screenshot(signal)).toString('latin1', 1, 4)).toBe('PNG');
    await machine.powerOff('button', signal);
    expect(await machine.stopped(signal)).toMatchObject({ kind: 'off' });
    await machine[Symbol.asyncDispose]();
    expect(context.running()).toEqual([]);

    // What the guest wrote is what our reader finds on its disk, and what VirtualBox exports of it.
    await using written = await open(disk, 'vdi');
    expect((await bytesOf(written, ECHO_GUEST_COUNTER, 2)).readUInt16LE()).toBe(1);
    await using box = await startVirtualBox();
    await box.manage('createvm', '--name', 'made', '--register', '--basefolder', join(box.directory, 'vms'));
    await box.manage('storagectl', 'made', '--name', 'SATA', '--add', 'sata');
    const place = ['--storagectl', 'SATA', '--port', '0', '--device', '0', '--type', 'hdd'];
    await box.manage('storageattach', 'made', ...place, '--medium', disk);
    const archive = join(directory, 'made.ova');
    await box.manage('export', 'made', '--output', archive, '--ovf20', '--manifest');
    await box.manage('unregistervm', 'made', '--delete');
    await using exported = await open(archive, 'ova');
    const expected = Buffer.alloc(MIB);
    echoGuest().copy(expected);
    expected.writeUInt16LE(1, ECHO_GUEST_COUNTER);
    expect(await bytesOf(exported, 0, MIB)).toEqual(expected);
  });
});
