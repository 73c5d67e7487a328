import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import {
  EnvironmentError,
  GuestError,
  type BlockNode,
  type Booter,
  type BootJob,
  type Event,
  type PluginContext,
  type RunningCommand,
} from '@polyvisor/core';
import { available, judgeWith } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootSector, type BootSectorEnd } from '@polyvisor/qemu';
import { createQemuBooter } from './booter.js';

// Without QEMU nothing here can be true; where CI is set this throws, elsewhere the tests are left out by name.
const tested = available('qemu-system-x86_64', 'qemu-system-x86');

/** The least that a host does for a plugin: each command in a process group of its own. KVM is refused, for equal results everywhere. */
function testContext(started: RunningCommand[]): PluginContext {
  const silent = () => undefined;
  const start: PluginContext['start'] = (command, args, options) => {
    const child = spawn(command, args, {
      cwd: options?.cwd,
      env: { ...process.env, ...options?.env },
      detached: true,
      stdio: 'pipe',
    });
    const kill = () => {
      try {
        process.kill(-(child.pid ?? 0), 'SIGKILL');
      } catch {
        // gone already
      }
    };
    options?.signal?.addEventListener('abort', kill, { once: true });
    const exited = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
      child.on('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    });
    const running: RunningCommand = {
      pid: child.pid ?? 0,
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      exited,
      stop: async () => {
        kill();
        await exited;
      },
    };
    started.push(running);
    return running;
  };
  return {
    log: { debug: silent, info: silent, warn: silent },
    start,
    run: (command, args) => {
      if (args.includes('--version'))
        return Promise.resolve({ exitCode: 0, stdout: 'QEMU emulator version 7.2.22', stderr: '' });
      return Promise.reject(
        new EnvironmentError(
          'command-failed',
          `${command} ended with exit code 1:\nqemu-system-x86_64: failed to initialize kvm: Permission denied`,
        ),
      );
    },
  };
}

describe.runIf(tested)('booter-qemu', { timeout: 60_000 }, () => {
  let root: string;
  let started: RunningCommand[];
  let booter: Booter;
  let events: Event[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'booter-qemu-'));
    started = [];
    events = [];
    booter = createQemuBooter(testContext(started));
  });

  afterEach(async () => {
    for (const command of started) {
      const ended = await Promise.race([
        command.exited,
        new Promise((resolve) => setTimeout(() => resolve(undefined), 0)),
      ]);
      expect(ended, `QEMU ${command.pid} outlived its boot`).toBeDefined();
    }
    await rm(root, { recursive: true, force: true });
  });

  async function image(text: string, end: BootSectorEnd, name = 'disk.raw'): Promise<string> {
    const path = join(root, name);
    await writeFile(path, Buffer.concat([bootSector(text, end)], 1024 * 1024));
    return path;
  }

  async function boot(path: string, node: BlockNode, change: Partial<BootJob> = {}) {
    const workDir = change.workDir ?? join(root, `work-${started.length}`);
    await mkdir(workDir, { recursive: true });
    return booter.boot({
      path,
      node,
      architecture: 'x86_64',
      firmware: 'bios',
      cpus: 1,
      memory: 64 * 2 ** 20,
      expect: /login: ?$/m,
      timeout: 30_000,
      workDir,
      consoleLog: join(root, 'console.log'),
      emit: (event) => events.push(event),
      signal: new AbortController().signal,
      ...change,
    });
  }

  const raw = (filename: string): BlockNode => ({ driver: 'raw', file: { driver: 'file', filename } });

  it('reports the boot, with the line that matched and what ran it', async () => {
    const path = await image('Starting...\r\n\x1b[1;32mguest\x1b[0m login: ', 'halt');
    const report = await boot(path, raw(path));
    expect(report.matched).toBe('guest login:');
    expect(report.acceleration).toContain('tcg (kvm: failed to initialize kvm: Permission denied');
    expect(report.duration).toBeGreaterThan(0);
    expect(await readFile(join(root, 'console.log'), 'latin1')).toContain('Starting...');
  });

  it('says once, and not for every boot, that there is no acceleration', async () => {
    const told: string[] = [];
    booter = createQemuBooter({
      ...testContext(started),
      log: { ...testContext([]).log, info: (line) => told.push(line) },
    });
    const path = await image('guest login: ', 'halt');
    await boot(path, raw(path));
    await boot(path, raw(path));
    expect(told).toEqual([expect.stringContaining('QEMU emulates the processor')]);
  });

  it('leaves the image and its directory alone, although the guest writes to its disk', async () => {
    const path = await image('guest login: ', 'halt', 'a disk, with a comma.raw');
    const digest = async () =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    const before = { digest: await digest(), mtime: (await stat(path)).mtimeMs };
    await boot(path, raw(path));
    expect({ digest: await digest(), mtime: (await stat(path)).mtimeMs }).toEqual(before);
    expect((await readdir(root)).sort()).toEqual(['a disk, with a comma.raw', 'console.log', 'work-0']);
  });

  it.each(['virtio', 'sata', 'ide', 'nvme', 'virtio-scsi', 'pvscsi', 'lsi'])('boots from a disk on %s', async (bus) => {
    const path = await image('guest login: ', 'halt');
    expect((await boot(path, raw(path), { bus })).matched).toBe('guest login:');
  });

  it('boots an image inside another file, of another format', async () => {
    if (!available('qemu-img', 'qemu-utils')) return;
    const path = await image('guest login: ', 'halt');
    const vmdk = join(root, 'disk.vmdk');
    await judgeWith('qemu-img', ['convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', path, vmdk]);
    const archive = join(root, 'appliance.ova');
    const disk = await readFile(vmdk);
    await writeFile(archive, Buffer.concat([Buffer.alloc(1536), disk, Buffer.alloc(1024)]));
    const node = {
      driver: 'vmdk',
      file: { driver: 'raw', offset: 1536, size: disk.length, file: { driver: 'file', filename: archive } },
    };
    expect((await boot(archive, node)).matched).toBe('guest login:');
  });

  it('works in a directory whose path is longer than a socket address', async () => {
    const path = await image('guest login: ', 'halt');
    const workDir = join(root, 'long'.repeat(20), 'long'.repeat(20));
    await expect(boot(path, raw(path), { workDir, timeout: 100, expect: /never/ })).rejects.toThrow(
      /screenshot|within/,
    );
    expect(await stat(join(root, 'console.png'))).toBeDefined();
  });

  it('fails when the text does not come in time, with the log and a picture of the screen', async () => {
    const path = await image('nothing to log in to', 'halt');
    const error = await boot(path, raw(path), { timeout: 250 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(GuestError);
    expect(error).toMatchObject({ code: 'boot-timeout' });
    expect((error as GuestError).message).toContain('within 2 s');
    expect((error as GuestError).transcript).toContain('nothing to log in to');
    expect((error as GuestError).hint).toContain(join(root, 'console.log'));
    expect((error as GuestError).hint).toContain(join(root, 'console.png'));
    const picture = await readFile(join(root, 'console.png'));
    expect(picture.subarray(1, 4).toString()).toBe('PNG');
    const width = picture.readUInt32BE(16);
    const height = picture.readUInt32BE(20);
    const pixels = inflateSync(picture.subarray(41, 41 + picture.readUInt32BE(33)));
    expect(pixels.length).toBe((width * 3 + 1) * height);
    expect(
      pixels.some((value) => value !== 0),
      'the picture is not black',
    ).toBe(true);
  });

  it('tells a guest that switched itself off', async () => {
    const path = await image('bye', 'power-off');
    await expect(boot(path, raw(path))).rejects.toMatchObject({
      code: 'boot-ended',
      message: expect.stringContaining('guest-shutdown') as string,
    });
  });

  it('tells a guest that restarts over and over', async () => {
    const path = await image('again', 'reset');
    await expect(boot(path, raw(path))).rejects.toMatchObject({ code: 'boot-restarts' });
  });

  it('tells a disk without a boot loader at once', async () => {
    const path = join(root, 'empty.raw');
    await writeFile(path, Buffer.alloc(1024 * 1024));
    await expect(boot(path, raw(path))).rejects.toMatchObject({
      code: 'boot-stuck',
      message: expect.stringContaining('nothing to boot from') as string,
    });
  });

  it('tells a disk without a boot loader for UEFI at once', async () => {
    const path = await image('guest login: ', 'halt');
    await expect(boot(path, raw(path), { firmware: 'uefi', memory: 256 * 2 ** 20 })).rejects.toMatchObject({
      code: 'boot-stuck',
    });
    expect(await readdir(join(root, 'work-0'))).toContain('uefi-variables.fd');
  });

  it('notices within a second that QEMU was killed', async () => {
    const path = await image('waiting', 'halt');
    const booting = boot(path, raw(path)).catch((reason: unknown) => reason);
    while (!(await readFile(join(root, 'console.log'), 'latin1').catch(() => '')).includes('waiting'))
      await new Promise((resolve) => setTimeout(resolve, 20));
    const killed = performance.now();
    process.kill(started.at(-1)?.pid ?? 0, 'SIGKILL');
    expect(await booting).toMatchObject({
      code: 'boot-qemu-died',
      message: expect.stringContaining('SIGKILL') as string,
    });
    expect(performance.now() - killed).toBeLessThan(1000);
  });

  it("passes on QEMU's last words", async () => {
    await expect(boot('/none', { driver: 'qcow2', file: { driver: 'file', filename: '/none' } })).rejects.toMatchObject(
      {
        code: 'boot-qemu-died',
        message: expect.stringContaining('No such file or directory') as string,
      },
    );
  });

  it('ends with the reason of the signal, and takes QEMU with it', async () => {
    const path = await image('waiting', 'halt');
    const cancel = new AbortController();
    const booting = boot(path, raw(path), { signal: cancel.signal }).catch((reason: unknown) => reason);
    setTimeout(() => cancel.abort(new Error('enough')), 300);
    expect(await booting).toMatchObject({ message: 'enough' });
  });

  it('says what the guest is doing', async () => {
    const path = await image('Reached a target', 'halt');
    await boot(path, raw(path), { timeout: 250 }).catch(() => undefined);
    expect(events).toContainEqual({
      type: 'waiting',
      stage: 'boot',
      message: expect.stringContaining('Reached a target') as string,
    });
  });

  it('refuses what it cannot boot, before it starts anything', async () => {
    const path = await image('', 'halt');
    await expect(boot(path, raw(path), { architecture: 'arm64' })).rejects.toMatchObject({
      code: 'architecture-unsupported',
    });
    await expect(boot(path, raw(path), { bus: 'floppy' })).rejects.toMatchObject({ code: 'bus-unsupported' });
    expect(started).toHaveLength(0);
  });

  it('tells what it found on this machine', async () => {
    const probe = await booter.probe(new AbortController().signal);
    expect(probe).toMatchObject({ usable: true, version: '7.2.22' });
    expect(probe.usable && probe.notes?.[0]).toContain('tcg (kvm: failed');
  });
});
