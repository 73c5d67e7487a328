import { spawn } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootSector } from '@polyvisor/qemu';
import { available } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { openBench } from './bench.test-support.js';
import { discardMachines, PID_FILE } from './discard.js';

const tested = available('qemu-system-x86_64', 'qemu-system-x86');

describe.runIf(tested)('discardMachines', { timeout: 30_000 }, () => {
  it('ends the machine that a run left, found by its own files', async () => {
    await using bench = await openBench();
    const { machine, spec } = await bench.machine(bootSector('started', 'halt'));
    await machine.start({ kind: 'disk' }, bench.signal);
    await bench.said(spec, /started/);
    await discardMachines(bench.context, bench.directory, bench.signal);
    expect(await machine.stopped(bench.signal)).toMatchObject({ kind: 'died' });
    expect(bench.context.lines).toContainEqual(expect.stringContaining('which an earlier run left'));
    await discardMachines(bench.context, bench.directory, bench.signal); // nothing is left
  });

  it('leaves alone what is not its own: other programs, other files, what links lead to', async () => {
    await using bench = await openBench();
    const { machine, spec, workDir } = await bench.machine(bootSector('started', 'halt'));
    await machine.start({ kind: 'disk' }, bench.signal);
    await bench.said(spec, /started/);
    const pid = await readFile(join(workDir, PID_FILE), 'utf8');
    const other = join(bench.directory, 'other');
    await mkdir(other);
    const sleeping = spawn('sleep', ['60']);
    try {
      await mkdir(join(other, 'a'));
      await mkdir(join(other, 'b'));
      await mkdir(join(other, 'c'));
      await writeFile(join(other, 'a', PID_FILE), `${sleeping.pid}\n`);
      await writeFile(join(other, 'b', PID_FILE), pid); // the machine's number in a file that is not the machine's
      await writeFile(join(other, 'c', PID_FILE), '1 or so\n');
      await symlink(workDir, join(other, 'link'));
      await discardMachines(bench.context, other, bench.signal);
      expect(sleeping.exitCode ?? sleeping.signalCode).toBeNull();
      expect(bench.context.running()).toEqual([Number(pid)]);
    } finally {
      sleeping.kill('SIGKILL');
    }
  });
});
