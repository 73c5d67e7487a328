import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EnvironmentError, errorKind, type PluginContext } from '@polyvisor/core';
import type { Acceleration } from '@polyvisor/machine';
import { probeArguments, type Accelerator } from './arguments.js';
import { bootSector, LEAVE_EXIT_CODE } from './boot-sector.js';

export const QEMU = 'qemu-system-x86_64';

/** `auto`: what this computer's system offers, if it works, otherwise `tcg`, which translates the guest's code. */
export const ACCELERATIONS = ['auto', 'kvm', 'hvf', 'whpx', 'tcg'] as const;

export interface QemuAcceleration extends Acceleration {
  readonly accelerator: Accelerator;
}

export interface AccelerationWish {
  readonly program?: string;
  readonly acceleration?: (typeof ACCELERATIONS)[number];
  /** Model of processor that the guest gets later; absent: the best. */
  readonly cpu?: string | undefined;
  /** Of this computer, as Node.js names it. */
  readonly platform?: NodeJS.Platform;
}

/** How much longer a guest takes without hardware acceleration, at most. */
const EMULATION_FACTOR = 8;

/**
 * Time for the tiny guest, in milliseconds. It takes 100 to 300 where KVM works and 100 without any acceleration; where
 * KVM is itself emulated it hangs, or takes several seconds, and real guests are better off without it.
 */
const PROBE_LIMIT = 2500;

/** What the system of this computer offers. */
const OFFERED: Readonly<Partial<Record<NodeJS.Platform, Accelerator>>> = { linux: 'kvm', darwin: 'hvf', win32: 'whpx' };

/**
 * Finds out whether acceleration runs guests by running one: that `/dev/kvm` exists and can be opened says too little. One that
 * is asked for by name and does not work is an error, with the reason.
 */
export async function probeAcceleration(
  context: PluginContext,
  wish: AccelerationWish,
  signal: AbortSignal,
): Promise<QemuAcceleration> {
  const { acceleration = 'auto', platform = process.platform } = wish;
  const accelerator = acceleration === 'auto' ? OFFERED[platform] : acceleration;
  if (accelerator === undefined) return tcg(`nothing faster is known for ${platform}`);
  if (accelerator === 'tcg') return tcg();
  const problem = await tryGuest(context, accelerator, wish, signal);
  if (problem === undefined) return { accelerator, description: accelerator, slowdown: 1 };
  if (acceleration === 'auto') return tcg(`${accelerator}: ${problem}`);
  throw new EnvironmentError('acceleration-unavailable', `${accelerator} was asked for and does not work: ${problem}`, {
    hint: 'take `acceleration: auto`, which goes on without it, several times slower',
  });
}

function tcg(reason?: string): QemuAcceleration {
  const description = reason === undefined ? 'tcg' : `tcg (${reason})`;
  return { accelerator: 'tcg', description, slowdown: EMULATION_FACTOR };
}

/** Why it does not run guests, or undefined. */
async function tryGuest(
  context: PluginContext,
  accelerator: Accelerator,
  { program = QEMU, cpu }: AccelerationWish,
  signal: AbortSignal,
): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-probe-'));
  try {
    const image = join(directory, 'guest.raw');
    // Padded to a size that every QEMU takes for a disk.
    await writeFile(image, Buffer.concat([bootSector('', 'leave')], 64 * 1024));
    await context.run(program, probeArguments(accelerator, cpu, image), {
      signal,
      timeout: PROBE_LIMIT,
      acceptExitCodes: [LEAVE_EXIT_CODE],
      env: { TMPDIR: directory },
    });
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (errorKind(error) !== 'environment' || (error as { code?: unknown }).code === 'command-missing') throw error;
    return reasonOf(error as { code: string; message: string });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function reasonOf(error: { readonly code: string; readonly message: string }): string {
  if (error.code === 'command-timeout') return `a test guest did not finish within ${PROBE_LIMIT / 1000} s`;
  // The first line is the host's; QEMU says what is wrong first, and asserts things afterwards.
  const [, ...words] = error.message.split('\n').filter((line) => line.trim() !== '' && !line.includes(': warning:'));
  const reason = (words[0] ?? error.message).replace(/^[^\s:]*qemu-system-\S+: (error: )?/, '').trim();
  const lacksRight = /kvm.*permission denied/i.test(reason);
  return lacksRight ? `${reason}; a user of the group kvm may use it` : reason;
}
