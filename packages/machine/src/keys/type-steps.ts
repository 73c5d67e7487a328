import { setTimeout as sleep } from 'node:timers/promises';
import { type Emit, GuestError } from '@polyvisor/core';
import type { ConsoleText } from '../console.js';
import type { KeyName } from '../key.js';
import type { Machine } from '../machine.js';
import { describeTime, describeWait } from './describe.js';
import { batches, heldAfter, maybeHeld } from './held-keys.js';
import type { Step } from './step.js';
import { StillScreen } from './still-screen.js';

/** What typing needs beside a machine. */
export interface TypingOptions {
  /** What the first serial port says, filled by the caller while this runs. */
  readonly console: Pick<ConsoleText, 'endOf' | 'tail'>;
  /** Between two keys, in milliseconds; absent: what the hypervisor takes safely. */
  readonly interval?: number | undefined;
  /** By how much the guest is slower than with hardware acceleration; limits and stillness are as much longer, pauses are not. */
  readonly slowdown?: number | undefined;
  /** Stage that events are told under. */
  readonly stage: string;
  readonly emit: Emit;
  /** Ends it at once; also when the machine stops, which the caller watches. */
  readonly signal: AbortSignal;
}

/** How often the console is looked at, in milliseconds. */
const CONSOLE_INTERVAL = 100;
/** How often the screen is looked at: often enough to see a cursor blink, seldom enough to leave the guest its time. */
const SCREEN_INTERVAL = 400;
/** How long keys are let go of after a failure, in milliseconds; nobody waits longer for a hypervisor that is gone. */
const RELEASE_TIME = 1000;
const RELEASE_INTERVAL = 5;
/** Where timers of Node end, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Lines of the console shown in errors. */
const TAIL = 20;

/** Types on a machine. No key is held down in the end, whether this succeeds, fails or is cancelled. */
export async function typeSteps(
  machine: Pick<Machine, 'press' | 'screenshot'>,
  steps: readonly Step[],
  options: TypingOptions,
): Promise<void> {
  const { signal, stage, emit, interval } = options;
  const total = steps.reduce((sum, step) => sum + (step.kind === 'keys' ? step.keys.length : 0), 0);
  let held: readonly KeyName[] = [];
  let done = 0;
  let found = 0;
  try {
    for (const step of steps) {
      signal.throwIfAborted();
      if (step.kind !== 'keys') {
        const message =
          step.kind === 'wait' ? `${describeWait(step)} before the next keys` : describeWait(step, options.slowdown);
        emit({ type: 'waiting', stage, message });
      }
      if (step.kind === 'wait') await pause(step.milliseconds, signal);
      else if (step.kind === 'still') await untilStill(machine, step, options);
      else if (step.kind === 'text') found = await untilText(step, found, options);
      else {
        for (const batch of batches(step.keys, held)) {
          const before = held;
          held = maybeHeld(batch, before);
          await machine.press(batch, signal, interval);
          held = heldAfter(batch, before);
          done += batch.length;
          emit({ type: 'progress', stage, done, total, unit: 'steps' });
        }
      }
    }
  } catch (error) {
    // What went wrong is worth telling, not that keys of a machine that is about to go are still down.
    await release(machine, held, AbortSignal.timeout(RELEASE_TIME), RELEASE_INTERVAL).catch(() => undefined);
    signal.throwIfAborted();
    throw error;
  }
  await release(machine, held, signal, interval);
}

async function release(
  machine: Pick<Machine, 'press'>,
  held: readonly KeyName[],
  signal: AbortSignal,
  interval: number | undefined,
): Promise<void> {
  const keys = [...held].reverse().map((name) => ({ name, action: 'up' }) as const);
  if (keys.length > 0) await machine.press(keys, signal, interval);
}

async function untilStill(
  machine: Pick<Machine, 'screenshot'>,
  step: Extract<Step, { kind: 'still' }>,
  options: TypingOptions,
): Promise<void> {
  const { slowdown = 1 } = options;
  const screen = new StillScreen();
  let seen = 0;
  let reason: unknown;
  const still = await within(step.limit * slowdown, options.signal, async (signal) => {
    for (;;) {
      try {
        const picture = await machine.screenshot(signal);
        seen += 1;
        if (screen.see(picture, performance.now()) >= step.still * slowdown) return true;
      } catch (error) {
        // Machines that have just started may have no screen yet.
        signal.throwIfAborted();
        reason = error;
      }
      await pause(Math.min(SCREEN_INTERVAL, Math.max(step.still / 4, 10)), signal);
    }
  });
  if (still === true) return;
  const why = seen === 0 ? 'no picture of it could be taken' : `it was looked at ${seen} times`;
  throw new GuestError(
    'screen-not-still',
    `the screen was not still for ${describeTime(step.still * slowdown)} within ${describeTime(step.limit * slowdown)}; ${why}`,
    {
      hint: 'a clock or a countdown never stands still: wait for a text or for a time instead, or allow more time',
      transcript: options.console.tail(TAIL).join('\n'),
      cause: reason,
    },
  );
}

/** Resolves to where the text ends. */
async function untilText(step: Extract<Step, { kind: 'text' }>, from: number, options: TypingOptions): Promise<number> {
  const { slowdown = 1, console } = options;
  const end = await within(step.limit * slowdown, options.signal, async (signal) => {
    for (;;) {
      const end = console.endOf(step.text, from);
      if (end !== undefined) return end;
      await pause(CONSOLE_INTERVAL, signal);
    }
  });
  if (end !== undefined) return end;
  const tail = console.tail(TAIL).join('\n');
  throw new GuestError(
    'console-text-missing',
    `the serial console did not show ${JSON.stringify(step.text)} within ${describeTime(step.limit * slowdown)}`,
    {
      hint:
        tail === ''
          ? 'it said nothing at all: does the system have its console there (console=ttyS0)?'
          : 'allow more time behind the text, or correct the text',
      transcript: tail,
    },
  );
}

/** Undefined when the time is over. The caller's own end is none of that: its reason is thrown. */
async function within<T>(
  limit: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const over = AbortSignal.timeout(Math.min(Math.ceil(limit), LONGEST_TIMER));
  try {
    return await work(AbortSignal.any([signal, over]));
  } catch (error) {
    signal.throwIfAborted();
    if (over.aborted) return undefined;
    throw error;
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
