import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorKind, type PluginContext } from '@polyvisor/core';
import { probeArguments, type Accelerator } from './arguments.js';
import { bootSector, LEAVE_EXIT_CODE } from './boot-sector.js';

export const QEMU = 'qemu-system-x86_64';

export interface Acceleration {
  readonly accelerator: Accelerator;
  /** For the report: `kvm`, or `tcg (kvm: why not)`. */
  readonly description: string;
}

/**
 * Time for the tiny guest, in milliseconds. It takes 100 to 300 where KVM works and 100 without any acceleration; where
 * KVM is itself emulated it hangs, or takes several seconds, and real guests are better off without it.
 */
const PROBE_LIMIT = 2500;

/**
 * Finds out whether KVM runs guests by running one: that `/dev/kvm` exists and can be opened says too little.
 */
export async function probeAcceleration(context: PluginContext, signal: AbortSignal): Promise<Acceleration> {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-kvm-'));
  try {
    const image = join(directory, 'guest.raw');
    // Padded to a size that every QEMU takes for a disk.
    await writeFile(image, Buffer.concat([bootSector('', 'leave')], 64 * 1024));
    await context.run(QEMU, probeArguments('kvm', image), {
      signal,
      timeout: PROBE_LIMIT,
      acceptExitCodes: [LEAVE_EXIT_CODE],
      env: { TMPDIR: directory },
    });
    return { accelerator: 'kvm', description: 'kvm' };
  } catch (error) {
    signal.throwIfAborted();
    if (errorKind(error) !== 'environment') throw error;
    return { accelerator: 'tcg', description: `tcg (kvm: ${reasonOf(error as { code: string; message: string })})` };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function reasonOf(error: { readonly code: string; readonly message: string }): string {
  if (error.code === 'command-timeout') return `a test guest did not finish within ${PROBE_LIMIT / 1000} s`;
  // The first line is the host's; QEMU says what is wrong first, and asserts things afterwards.
  const [, ...words] = error.message.split('\n').filter((line) => line.trim() !== '' && !line.includes(': warning:'));
  return (words[0] ?? error.message).replace(/^qemu-system-x86_64: (error: )?/, '').trim();
}
