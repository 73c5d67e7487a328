import { access } from 'node:fs/promises';
import { type Acceleration, EnvironmentError, errorKind } from '@polyvisor/core';
import { explain } from './explain.js';
import type { Manage } from './manage.js';
import type { VirtualboxOptions } from './options.js';
import { tryMachine } from './trial.js';
import { isAtLeast, type Version } from './version.js';

/** What runs guests here. */
export interface Engine extends Acceleration {
  readonly engine: 'default' | 'interpreter';
}

/** The interpreter does about 8 million instructions a second, on a processor that has thousands; much of that time guests wait. */
const INTERPRETER_SLOWDOWN = 60;

/** The first release that is known to have the interpreter as a choice. */
const INTERPRETER_SINCE = [7, 1] as const;

/** The device of the kernel driver, where there has to be one. */
const DRIVER = '/dev/vboxdrv';

/**
 * Tries what there is, and takes the first that runs a machine. Rejects with the reasons when none does. What a person chose
 * is not tried: whether it works will be seen.
 */
export async function findEngine(
  manage: Manage,
  version: Version,
  option: VirtualboxOptions['execution-engine'],
  headless: string | undefined,
  signal: AbortSignal,
): Promise<Engine> {
  if (option !== 'auto') return describe(option, '');
  const reasons: EnvironmentError[] = [];
  for (const engine of candidates(version)) {
    try {
      if (engine === 'default') await expectDriver();
      await tryMachine(manage, engine, headless, signal);
      const [reason] = reasons;
      return describe(engine, reason === undefined ? '' : reasonOf(reason));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Error) || errorKind(error) !== 'environment') throw error;
      reasons.push(error as EnvironmentError);
    }
  }
  const [first] = reasons;
  throw new EnvironmentError(
    'virtualbox-cannot-run',
    `VirtualBox ${version.text} runs no machines here: ${reasons.map(reasonOf).join('; and by interpretation: ')}`,
    { hint: first?.hint, cause: first },
  );
}

function candidates(version: Version): Engine['engine'][] {
  return isAtLeast(version, ...INTERPRETER_SINCE) ? ['default', 'interpreter'] : ['default'];
}

/** Saves the trial where its outcome is certain. */
async function expectDriver(): Promise<void> {
  if (process.platform !== 'linux') return;
  try {
    await access(DRIVER);
  } catch {
    const known = explain('VERR_VM_DRIVER_NOT_INSTALLED');
    throw new EnvironmentError('virtualbox-start-failed', `there is no ${DRIVER}: ${known?.reason ?? ''}`, {
      hint: known?.hint,
    });
  }
}

function describe(engine: Engine['engine'], reason: string): Engine {
  if (engine === 'default') return { engine, description: 'hardware virtualisation', slowdown: 1 };
  const why = reason === '' ? '' : ` (hardware virtualisation: ${reason})`;
  return { engine, description: `VirtualBox's interpreter${why}`, slowdown: INTERPRETER_SLOWDOWN };
}

/** In one line. */
function reasonOf({ message }: Error): string {
  return message.replace(/\s*\n\s*/g, ' ').replace(/^VirtualBox cannot start the machine, since /, '');
}
