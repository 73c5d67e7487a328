import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { bootSector, QmpClient } from '@polyvisor/qemu';
import { available, echoGuestMedium } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { openBench } from './bench.test-support.js';

const tested = available('qemu-system-x86_64', 'qemu-system-x86');

/** Tells the device for it that the kernel panicked: mov dx, 0x505; mov al, 1; out dx, al; hlt. */
const PANIC = Buffer.alloc(512);
PANIC.set([0xba, 0x05, 0x05, 0xb0, 0x01, 0xee, 0xf4]);
PANIC.writeUInt16LE(0xaa55, 510);

async function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

describe.runIf(tested)('a machine in the real QEMU', { timeout: 60_000 }, () => {
  it('listens for the guest on ports that were free, as long as it runs, and leaves no file', async () => {
    await using bench = await openBench();
    const { machine, workDir } = await bench.machine(bootSector('', 'halt'), { forwardedPorts: [22, 80] });
    await machine.start({ kind: 'disk' }, bench.signal);
    const ports = [await machine.endpoint(22), await machine.endpoint(80)].map(({ port }) => port);
    expect(await Promise.all(ports.map(connects))).toEqual([true, true]);
    await expect(machine.endpoint(443)).rejects.toThrow('not among its forwarded ports');
    expect(await readdir(workDir)).not.toEqual([]);
    await machine[Symbol.asyncDispose]();
    expect(await Promise.all(ports.map(connects))).toEqual([false, false]);
    expect(await readdir(workDir)).toEqual([]);
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'notices %s to QEMU within a second, with all that the guest said',
    async (kill) => {
      await using bench = await openBench();
      const { machine, spec } = await bench.machine(bootSector('said before', 'halt'));
      await machine.start({ kind: 'disk' }, bench.signal);
      await bench.said(spec, /said before/);
      const stopped = machine.stopped(bench.signal);
      const before = performance.now();
      process.kill(bench.context.running()[0] ?? 0, kill);
      const reason = await stopped;
      expect(performance.now() - before).toBeLessThan(1000);
      expect(reason.kind).toBe('died');
      expect(reason.words).toMatch(kill === 'SIGKILL' ? /SIGKILL/ : /terminating on signal 15/);
      // What killed it once may not do so again.
      await machine.start({ kind: 'disk' }, bench.signal);
      await bench.said(spec, /said before.*said before/s);
    },
  );

  it('refuses a disk that another machine has, and says so', async () => {
    await using bench = await openBench();
    const first = await bench.machine(bootSector('', 'halt'));
    const second = await bench.machine(bootSector('', 'halt'), { disk: first.spec.disk });
    await first.machine.start({ kind: 'disk' }, bench.signal);
    await expect(second.machine.start({ kind: 'disk' }, bench.signal)).rejects.toMatchObject({
      code: 'qemu-disk-in-use',
      message: expect.stringContaining(first.spec.disk) as string,
    });
    expect(bench.context.running()).toHaveLength(1);
    // It can be started as soon as the other one has ended.
    await first.machine.powerOff('hard', bench.signal);
    await second.machine.start({ kind: 'disk' }, bench.signal);
  });

  it('halts when the disk of this computer is full, with its last screen', async () => {
    await using bench = await openBench((directory) => ({ binary: join(directory, 'qemu') }));
    const full = join(bench.directory, 'full');
    const medium = join(bench.directory, 'medium.iso');
    await mkdir(full);
    await writeFile(medium, echoGuestMedium());
    const disk = join(full, 'disk.raw');
    const { machine } = await bench.machine(Buffer.alloc(0), {
      disk,
      media: [{ kind: 'cdrom', path: medium }],
    });
    // A file system of one page, which something else fills, in a name space of its own, so that nobody has to be root.
    const mount = `mount -t tmpfs -o size=4k none ${full} && printf x > ${full}/x && truncate -s 1M ${disk}`;
    const wrapper = `#!/bin/sh\nexec unshare --map-root-user --mount sh -c '${mount} && exec qemu-system-x86_64 "$@"' sh "$@"\n`;
    await writeFile(join(bench.directory, 'qemu'), wrapper);
    await chmod(join(bench.directory, 'qemu'), 0o755);
    await machine.start({ kind: 'disk' }, bench.signal);
    expect(await machine.stopped(bench.signal)).toEqual({
      kind: 'halted',
      words: 'io-error: write on disk: No space left on device',
    });
    expect((await machine.screenshot(bench.signal)).length).toBeGreaterThan(1000);
    await expect(machine.press([{ name: 'a', action: 'type' }], bench.signal)).rejects.toMatchObject({
      code: 'qemu-not-running',
      message: expect.stringContaining('No space left') as string,
    });
    await machine.powerOff('hard', bench.signal);
    expect(bench.context.running()).toEqual([]);
  });

  it('halts when the kernel of the guest panics, and can be started again', async () => {
    await using bench = await openBench();
    const { machine } = await bench.machine(PANIC);
    for (const _attempt of [1, 2]) {
      await machine.start({ kind: 'disk' }, bench.signal);
      expect(await machine.stopped(bench.signal)).toMatchObject({ kind: 'halted', words: /panicked/ });
      expect((await machine.screenshot(bench.signal)).length).toBeGreaterThan(1000);
    }
  });

  it("says what QEMU said when it does not start, such as of a person's arguments", async () => {
    await using bench = await openBench({ arguments: ['-device', 'nonsense'] });
    const { machine } = await bench.machine(bootSector('', 'halt'));
    await expect(machine.start({ kind: 'disk' }, bench.signal)).rejects.toMatchObject({
      code: 'qemu-start-failed',
      message: expect.stringContaining("'nonsense' is not a valid device model name") as string,
    });
    expect(bench.context.running()).toEqual([]);
  });

  it('hands firmware strings to the guest as they are, beside what a person adds', async () => {
    const strings = ['io.example:a,b=c', 'x'.repeat(2000), 'öffentlich'];
    await using bench = await openBench({ arguments: ['-qmp', 'unix:second.sock,server=on,wait=off'] });
    const { machine, spec, workDir } = await bench.machine(bootSector('started', 'halt'), { firmwareStrings: strings });
    await machine.start({ kind: 'disk' }, bench.signal);
    await bench.said(spec, /started/);
    const socket = connect(join(workDir, 'second.sock'));
    const monitor = new QmpClient(socket, socket, { onEvent: () => undefined });
    await monitor.execute('qmp_capabilities');
    const filename = join(bench.directory, 'memory');
    await monitor.execute('pmemsave', { val: 0, size: spec.memory, filename });
    socket.destroy();
    const memory = await readFile(filename);
    for (const text of strings) expect(memory.includes(`\0${text}\0`) || memory.includes(`${text}\0`), text).toBe(true);
  });
});
