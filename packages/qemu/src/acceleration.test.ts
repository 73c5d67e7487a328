import { EnvironmentError, type PluginContext } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { probeAcceleration } from './acceleration.js';

function contextThat(run: PluginContext['run']): PluginContext {
  const silent = () => undefined;
  return {
    log: { debug: silent, info: silent, warn: silent },
    run,
    start: () => {
      throw new Error('nothing is started here');
    },
  };
}

const ON_LINUX = { platform: 'linux' } as const;

const signal = () => new AbortController().signal;

describe('probeAcceleration', () => {
  it('takes KVM when the test guest ran to its end', async () => {
    const context = contextThat((_command, args, options) => {
      expect(args).toContain('kvm');
      expect(options?.acceptExitCodes).toEqual([33]);
      return Promise.resolve({ exitCode: 33, stdout: '', stderr: '' });
    });
    expect(await probeAcceleration(context, ON_LINUX, signal())).toEqual({
      accelerator: 'kvm',
      description: 'kvm',
      slowdown: 1,
    });
  });

  it('falls back with the reason when the guest hangs, as under emulated KVM', async () => {
    const context = contextThat(() => Promise.reject(new EnvironmentError('command-timeout', 'killed')));
    const { accelerator, description } = await probeAcceleration(context, ON_LINUX, signal());
    expect(accelerator).toBe('tcg');
    expect(description).toBe('tcg (kvm: a test guest did not finish within 2.5 s)');
  });

  it("falls back with QEMU's reason when it refuses", async () => {
    const words =
      'Could not access KVM kernel module: No such file or directory\nqemu-system-x86_64: failed to initialize kvm: No such file or directory';
    const context = contextThat(() =>
      Promise.reject(new EnvironmentError('command-failed', `qemu-system-x86_64 ended with exit code 1:\n${words}`)),
    );
    expect((await probeAcceleration(context, ON_LINUX, signal())).description).toBe(
      'tcg (kvm: Could not access KVM kernel module: No such file or directory)',
    );
  });

  it('tells what went wrong first, not what QEMU asserts afterwards', async () => {
    const words = [
      "qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.01H:ECX.pni [bit 0]",
      'qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69',
      'qemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: kvm_buf_set_msrs: Assertion failed.',
    ];
    const context = contextThat(() =>
      Promise.reject(
        new EnvironmentError('command-failed', ['qemu-system-x86_64 ended with SIGABRT:', ...words].join('\n')),
      ),
    );
    expect((await probeAcceleration(context, ON_LINUX, signal())).description).toBe(
      'tcg (kvm: failed to set MSR 0x10a to 0x69)',
    );
  });

  it.each([
    ['darwin', 'hvf'],
    ['win32', 'whpx'],
  ] as const)('tries what %s offers', async (platform, expected) => {
    const tried: string[] = [];
    const context = contextThat((_command, args) => {
      tried.push(args.join(' '));
      return Promise.resolve({ exitCode: 33, stdout: '', stderr: '' });
    });
    expect(await probeAcceleration(context, { platform }, signal())).toMatchObject({
      accelerator: expected,
      slowdown: 1,
    });
    expect(tried).toEqual([expect.stringContaining(`-accel ${expected}`)]);
  });

  it('tries nothing where nothing is known, or nothing is wanted', async () => {
    const context = contextThat(() => Promise.reject(new Error('it was tried')));
    expect((await probeAcceleration(context, { platform: 'freebsd' }, signal())).description).toBe(
      'tcg (nothing faster is known for freebsd)',
    );
    expect((await probeAcceleration(context, { acceleration: 'tcg' }, signal())).description).toBe('tcg');
  });

  it('takes what is asked for by name, or says why not', async () => {
    const context = contextThat(() =>
      Promise.reject(
        new EnvironmentError(
          'command-failed',
          'qemu-system-x86_64 ended with exit code 1:\nqemu-system-x86_64: Could not access KVM kernel module: Permission denied',
        ),
      ),
    );
    await expect(probeAcceleration(context, { acceleration: 'kvm' }, signal())).rejects.toMatchObject({
      code: 'acceleration-unavailable',
      message:
        'kvm was asked for and does not work: Could not access KVM kernel module: Permission denied; a user of the group kvm may use it',
    });
  });

  it('tries with the program and the processor that the guest will get', async () => {
    const context = contextThat((command, args) => {
      expect([command, args[args.indexOf('-cpu') + 1]]).toEqual(['/opt/qemu', 'Nehalem']);
      return Promise.resolve({ exitCode: 33, stdout: '', stderr: '' });
    });
    await probeAcceleration(context, { ...ON_LINUX, program: '/opt/qemu', cpu: 'Nehalem' }, signal());
  });

  it('does not take a missing program for a lack of acceleration', async () => {
    const context = contextThat(() => Promise.reject(new EnvironmentError('command-missing', 'not on PATH')));
    await expect(probeAcceleration(context, ON_LINUX, signal())).rejects.toMatchObject({ code: 'command-missing' });
  });

  it('passes a cancellation on', async () => {
    const cancel = new AbortController();
    const context = contextThat(() => {
      cancel.abort(new Error('enough'));
      return Promise.reject(new Error('enough'));
    });
    await expect(probeAcceleration(context, ON_LINUX, cancel.signal)).rejects.toThrow('enough');
  });
});
