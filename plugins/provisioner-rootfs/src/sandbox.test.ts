import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestContext } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Sandbox } from './sandbox.js';
import { findIsolation } from './tools.js';

const context = createTestContext();
const signal = new AbortController().signal;
const found = await findIsolation(context, signal);

describe.skipIf(!('isolation' in found))('a sandbox', () => {
  let workDir = '';
  let sandbox: Sandbox;
  beforeEach(async () => {
    workDir = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    if (!('isolation' in found)) throw new Error(found.reason);
    sandbox = await Sandbox.open(context, {
      isolation: found.isolation,
      workDir,
      network: true,
      epoch: 1_700_000_000,
      signal,
    });
  });
  afterEach(async () => {
    await sandbox[Symbol.asyncDispose]();
    await rm(workDir, { recursive: true, force: true });
  });

  it('has a host name of its own, which says nothing of this machine', async () => {
    const before = hostname();
    expect((await sandbox.run('cat', ['/proc/sys/kernel/hostname'])).stdout.trim()).toBe('localhost');
    await sandbox.shell('hostname changed');
    expect((await sandbox.run('cat', ['/proc/sys/kernel/hostname'])).stdout.trim()).toBe('changed');
    expect(hostname()).toBe(before);
  });

  it("cannot set this machine's clock", async () => {
    // To the time that it is, so that nothing would change if it could.
    await expect(sandbox.shell('date -s "@$(date +%s)"')).rejects.toThrow(/Operation not permitted/);
  });

  it('ends with all its processes, and none of its mounts is seen outside', async () => {
    await sandbox.shell('mount -t tmpfs tmpfs "$1"; sleep 600 >/dev/null 2>&1 & echo', [sandbox.root]);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(workDir);
  });
});
