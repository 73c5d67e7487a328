import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestContext, fakeTool } from '@polyvisor/testkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { probeVirtualBox } from './probe.js';

const signal = new AbortController().signal;
let path = '';
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  await mkdir(join(path, 'temporary'));
  vi.stubEnv('TMPDIR', join(path, 'temporary'));
});
afterEach(async () => {
  const left = await readdir(tmpdir());
  vi.unstubAllEnvs();
  await rm(path, { recursive: true, force: true });
  expect(left).toEqual([]);
});

const probe = () => probeVirtualBox(createTestContext({ path }), 'VBoxManage', signal);
const version = (text: string) => ({ when: /--version/, stdout: `${text}\n` });
const makes = { when: /createvm|modifyvm/ };
const state = (name: string) => ({ when: /showvminfo/, stdout: `VMState="${name}"\n` });

/** Of the program that runs machines: it answers to `--help`, and fails to start any. */
const starts = (stdout: string) => [{ when: /--help/ }, { when: /--startvm/, stdout, exitCode: 1 }];

describe('whether VirtualBox can be used', () => {
  it('is not so where it is not installed', async () => {
    expect(await probe()).toMatchObject({ usable: false, reason: expect.stringContaining('not on PATH') as string });
  });

  it.each(['5.2.44r139111', '6.0.24r139119'])('is not so where it is too old: %s', async (old) => {
    await fakeTool(path, 'VBoxManage', [version(old)]);
    expect(await probe()).toMatchObject({ usable: false, reason: expect.stringContaining('6.1 and newer') as string });
  });

  it('is not so where something else has its name', async () => {
    await fakeTool(path, 'VBoxManage', [version('hello')]);
    expect(await probe()).toMatchObject({ usable: false, reason: expect.stringContaining('hello') as string });
  });

  it.runIf(process.platform === 'linux')('is not so where machines do not start, and says why', async () => {
    await fakeTool(path, 'VBoxManage', [version('7.2.22r1'), makes, state('poweroff')]);
    await fakeTool(
      path,
      'VBoxHeadless',
      starts('Error: failed to start machine. Error message: it is broken (VERR_VMX_NO_VMX)\n'),
    );
    const result = await probe();
    expect(result).toMatchObject({ usable: false });
    if (!result.usable) {
      expect(result.reason).toMatch(/offers no hardware virtualisation.*it is broken/s);
      expect(result.hint.length).toBeGreaterThan(20);
    }
  });

  it.runIf(process.platform === 'linux')(
    'is not so without the driver in a release that cannot do without',
    async () => {
      await fakeTool(path, 'VBoxManage', [version('7.0.20r1')]);
      await fakeTool(path, 'VBoxHeadless', starts(''));
      expect(await probe()).toMatchObject({ usable: false, reason: expect.stringContaining('vboxdrv') as string });
    },
  );
});
