import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MachineSpec } from '@polyvisor/core';
import { available, createTestContext, echoGuest, memoryDisk, startVirtualBox, vboxManage } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { discardMachines } from './discard.js';
import { findHome } from './home.js';
import { VirtualBox } from './hypervisor.js';
import { Manage } from './manage.js';
import { virtualboxOptions } from './options.js';
import { type Ports, systemPorts } from './ports.js';
import { findProcesses } from './processes.js';
import { probeVirtualBox } from './probe.js';
import { withImport } from './import-source.js';
import { vdiImages } from './vdi-images.test-support.js';

const MIB = 1024 * 1024;
const LIMIT = 120_000;
const tested = available(vboxManage(), 'virtualbox (the set-up of `npm test` brings it, or says why it does not)');
const options = virtualboxOptions.parse({ vboxmanage: vboxManage(), 'execution-engine': 'interpreter' });
const signal = new AbortController().signal;

let directory = '';
let workDir = '';
let spec: MachineSpec;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  workDir = join(directory, 'job/machine');
  await mkdir(workDir, { recursive: true });
  const disk = join(directory, 'disk.vdi');
  await vdiImages.write(memoryDisk(MIB, [{ offset: 0, bytes: echoGuest() }]), 'vdi', disk);
  spec = {
    name: 'polyvisor-contract',
    architecture: 'x86_64',
    firmware: 'bios',
    cpus: 1,
    memory: 64 * MIB,
    guest: 'debian',
    disk,
    media: [],
    forwardedPorts: [22],
    serialLog: join(directory, 'serial.log'),
    firmwareStrings: [],
  };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await discardMachines(directory, signal);
  await rm(directory, { recursive: true, force: true });
});

const box = (ports?: Ports, changes: object = {}) =>
  new VirtualBox(createTestContext(), { ...options, ...changes }, ports);

async function saysReady(): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (/start [0-9a-f]{4}/.test(await readFile(spec.serialLog, 'latin1').catch(() => ''))) return;
    await sleep(50);
  }
  throw new Error('the guest never started');
}

describe.runIf(tested)('a machine of VirtualBox', () => {
  it(
    'lives in a home of its own, which the user sees nothing of, and of which nothing stays',
    { timeout: LIMIT },
    async () => {
      await using user = await startVirtualBox();
      const medium = join(directory, 'seed.img');
      await writeFile(medium, Buffer.alloc(MIB));
      const iso = join(directory, 'medium.iso');
      await writeFile(iso, Buffer.alloc(64 * 2048));
      const media = [
        { kind: 'disk', path: medium },
        { kind: 'cdrom', path: iso },
      ] as const;
      const machine = await box().create({ ...spec, media }, workDir, signal);
      const home = await findHome(workDir);
      expect(home).toBeDefined();
      expect(await user.manage('list', 'vms')).not.toContain(spec.name);
      await machine[Symbol.asyncDispose]();
      expect(await readdir(workDir)).toEqual([]);
      expect(await findProcesses(home ?? { socket: '', uuid: '' })).toEqual([]);
      // VirtualBox's own way of removing a machine would have taken these with it.
      for (const path of [spec.disk, medium, iso]) expect((await stat(path)).size).toBeGreaterThan(0);
    },
  );

  it('that cannot be made whole leaves nothing', { timeout: LIMIT }, async () => {
    const media = [{ kind: 'cdrom', path: join(directory, 'none.iso') }] as const;
    await expect(box().create({ ...spec, media }, workDir, signal)).rejects.toMatchObject({
      code: 'virtualbox-failed',
      message: expect.stringMatching(/attach .*none\.iso/) as string,
    });
    expect(await readdir(workDir)).toEqual([]);
    await expect(box(undefined, { modifyvm: ['--no-such-option on'] }).create(spec, workDir, signal)).rejects.toThrow(
      /no-such-option/,
    );
    expect(await readdir(workDir)).toEqual([]);
  });

  it('gets another port where somebody took its own while it starts', { timeout: LIMIT }, async () => {
    await using taken = await listen();
    let chosen = 0;
    // As if the port had been free when it was asked for.
    const careless: Ports = {
      choose: async () => (chosen++ === 0 ? taken.port : systemPorts.choose()),
      isFree: () => Promise.resolve(true),
    };
    await using machine = await box(careless).create(spec, workDir, signal);
    await machine.start({ kind: 'disk' }, signal);
    const first = await machine.endpoint(22);
    expect(first.port).not.toBe(taken.port);
    expect(await systemPorts.isFree(first.port)).toBe(false); // VirtualBox listens there
  });

  it('moves a port between two starts', { timeout: LIMIT }, async () => {
    await using machine = await box().create(spec, workDir, signal);
    const { port } = await machine.endpoint(22);
    await using _taken = await listen(port);
    await machine.start({ kind: 'disk' }, signal);
    expect((await machine.endpoint(22)).port).not.toBe(port);
  });

  it.each([
    ['as our child', vboxManage()],
    ['by the service', 'VBoxManage without VBoxHeadless'],
  ])('that was left running %s is found and ended', { timeout: LIMIT }, async (_, command) => {
    const vboxmanage = command === vboxManage() ? command : await loneManage();
    await box(undefined, { vboxmanage })
      .create(spec, workDir, signal)
      .then((machine) => machine.start({ kind: 'disk' }, signal));
    await saysReady();
    const home = await findHome(workDir);
    if (home === undefined) throw new Error('there is no state file');
    expect((await findProcesses(home)).map(({ kind }) => kind).sort()).toEqual(['machine', 'service']);
    await discardMachines(join(directory, 'job'), signal);
    expect(await findProcesses(home)).toEqual([]);
    expect(await readdir(workDir)).toEqual([]);
    expect((await stat(spec.disk)).size).toBeGreaterThan(0);
  });

  it(
    'that the service started is typed at, seen, switched off and missed as any other',
    { timeout: LIMIT },
    async () => {
      const machine = await box(undefined, { vboxmanage: await loneManage() }).create(spec, workDir, signal);
      await machine.start({ kind: 'disk' }, signal);
      await saysReady();
      expect((await machine.screenshot(signal)).length).toBeGreaterThan(100);
      await machine.powerOff('button', signal);
      expect(await machine.stopped(signal)).toMatchObject({ kind: 'off' });
      await machine.start({ kind: 'disk' }, signal);
      const home = await findHome(workDir);
      for (const { pid, kind } of await findProcesses(home ?? { socket: '', uuid: '' })) {
        if (kind === 'machine') process.kill(pid, 'SIGKILL');
      }
      expect(await machine.stopped(signal)).toMatchObject({ kind: 'died' });
      await machine[Symbol.asyncDispose]();
    },
  );

  it('says why it does not start', { timeout: LIMIT }, async () => {
    await using machine = await box(undefined, { 'execution-engine': 'default' }).create(spec, workDir, signal);
    await rm(spec.disk);
    await expect(machine.start({ kind: 'disk' }, signal)).rejects.toMatchObject({ code: 'virtualbox-start-failed' });
    await expect(machine.start({ kind: 'network', directory: '/', bootFile: 'x' }, signal)).rejects.toMatchObject({
      code: 'start-unsupported',
    });
  });

  it('shows its guest the strings of its firmware', { timeout: LIMIT }, async () => {
    const text = `io.systemd.credential.binary:ssh.authorized_keys.root=${'A'.repeat(190)}`;
    await using machine = await box().create({ ...spec, firmwareStrings: [text, 'and=another'] }, workDir, signal);
    await machine.start({ kind: 'disk' }, signal);
    await saysReady();
    const home = await findHome(workDir);
    const manage = new Manage(createTestContext(), vboxManage(), home?.environment);
    const core = join(directory, 'memory');
    await manage.run('dump memory', ['debugvm', home?.uuid ?? '', 'dumpvmcore', '--filename', core], signal);
    const memory = await readFile(core);
    const at = memory.indexOf(`\x02${text}\0and=another\0\0`, 0, 'latin1');
    expect(at).toBeGreaterThan(0);
    // SMBIOS §7.12: type 11, a header of 5 bytes, which ends with the number of strings.
    expect([...memory.subarray(at - 4, at - 2)]).toEqual([11, 5]);
  });

  it('is one of a VirtualBox that was tried', { timeout: LIMIT }, async () => {
    vi.stubEnv('TMPDIR', await other('temporary'));
    const probe = await probeVirtualBox(createTestContext(), vboxManage(), signal);
    expect(probe).toMatchObject({ usable: true, version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string });
    expect(await readdir(tmpdir())).toEqual([]);
  });
});

describe.runIf(tested)('importing', () => {
  const source = { kind: 'installer', access: { user: 'root', port: 22, timeout: 1, become: 'none' } };
  const appliance = { name: 'a', source } as unknown as Parameters<typeof withImport>[1];

  it('takes the disk of a registered machine that is switched off', { timeout: LIMIT }, async () => {
    await using user = await startVirtualBox();
    await user.manage('createvm', '--name', 'mine', '--register', '--basefolder', join(user.directory, 'vms'));
    const context = createTestContext();
    // What the user's own environment would say, which the host does not pass on either.
    const asUser = {
      ...context,
      run: ((command, args, more) =>
        context.run(command, args, { ...more, env: user.environment })) as typeof context.run,
    };
    const take = (what: string) => withImport(asUser, appliance, what, vboxManage(), signal);
    await expect(take('mine')).rejects.toMatchObject({ code: 'import-diskless' });
    await user.manage('storagectl', 'mine', '--name', 'SATA', '--add', 'sata');
    const attach = ['--storagectl', 'SATA', '--port', '0', '--device', '0', '--type', 'hdd', '--medium', spec.disk];
    await user.manage('storageattach', 'mine', ...attach);
    expect((await take('mine')).source).toMatchObject({
      kind: 'disk',
      image: { locations: [spec.disk], checksum: 'none' },
      access: source.access,
    });
    await user.manage('startvm', 'mine', '--type', 'headless');
    await expect(take('mine')).rejects.toMatchObject({ code: 'import-running' });
    await user.manage('controlvm', 'mine', 'poweroff');
    await expect(take('nobody')).rejects.toMatchObject({ code: 'virtualbox-failed' });
  });
});

async function other(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path);
  return path;
}

/** A VBoxManage beside which lies nothing. */
async function loneManage(): Promise<string> {
  const path = join(await other('bin'), 'VBoxManage');
  await writeFile(path, `#!/bin/sh\nexec '${vboxManage()}' "$@"\n`, { mode: 0o755 });
  return path;
}

async function listen(port = 0): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen({ host: '127.0.0.1', port }, resolve),
  );
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, [Symbol.asyncDispose]: async () => void server.close() };
}
