import type { StopReason } from '@polyvisor/core';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastLines } from './complaint.js';
import { isStopped } from './launch.js';
import type { MachineLog } from './machine-log.js';

/** What is known about a machine that runs. */
export interface Watched {
  /** Settles when its process has ended, with whether it was killed. */
  readonly isOver: Promise<boolean>;
  /** Whether we end it ourselves. */
  isEnding(): boolean;
  /** What its process said last. */
  words(): string;
  readonly log: MachineLog;
  state(): Promise<string>;
}

/** How often the log is looked at, in milliseconds. It grows with everything that happens, and looking is cheap. */
const POLL = 250;

/** How long the service may take to know that a process has ended, in milliseconds. */
const SETTLE = 2000;

/** Resolves with why a machine stopped, or cannot go on. */
export async function watch(watched: Watched): Promise<StopReason> {
  let over: { readonly killed: boolean } | undefined;
  const isOver = watched.isOver.then((killed) => void (over = { killed }));
  let seen = await watched.log.size();
  for (;;) {
    await Promise.race([isOver, sleep(POLL, undefined, { ref: false })]);
    if (over !== undefined) return whyItEnded(watched, over.killed);
    const size = await watched.log.size();
    if (size === seen) continue;
    seen = size;
    const words = await whyItHalted(watched);
    if (words !== undefined && !watched.isEnding()) return { kind: 'halted', words };
  }
}

/** Undefined while it goes on. A pause without an error is somebody's wish. */
async function whyItHalted({ log, state }: Watched): Promise<string | undefined> {
  const now = await state().catch(() => '');
  if (now === 'gurumeditation' || now === 'stuck')
    return (await log.errors()) || 'the guest did what VirtualBox cannot run';
  if (now !== 'paused') return undefined;
  const error = await log.runtimeError();
  return error === '' ? undefined : error;
}

async function whyItEnded(watched: Watched, killed: boolean): Promise<StopReason> {
  if (watched.isEnding()) return { kind: 'ended', words: '' };
  const state = killed ? 'aborted' : await lastState(watched);
  if (state === 'poweroff') return { kind: 'off', words: '' };
  // SIGTERM makes VirtualBox save the machine's state.
  if (state === 'saved') return { kind: 'ended', words: lastLines(watched.words()) };
  const words = [lastLines(watched.words()), await watched.log.errors()].filter((text) => text !== '').join('\n');
  return { kind: 'died', words };
}

/** The service takes a moment to learn of an end. */
async function lastState({ state }: Watched): Promise<string> {
  const deadline = performance.now() + SETTLE;
  for (;;) {
    const now = await state().catch(() => '');
    if (isStopped(now)) return now;
    if (performance.now() > deadline) return 'aborted';
    await sleep(50);
  }
}
