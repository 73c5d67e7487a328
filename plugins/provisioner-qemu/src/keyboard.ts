import { setTimeout as delay } from 'node:timers/promises';
import { errorKind, GuestError, type Key, type KeyName } from '@polyvisor/core';
import { abortable, type QmpClient } from '@polyvisor/qemu';
import { keyCodeOf } from './key-codes.js';

/** How a guest's keyboard is used. Times are in milliseconds. */
export interface Pace {
  /** From one key to the next. */
  readonly interval: number;
  /** How long the guest may leave a key in the keyboard's controller. */
  readonly patience: number;
}

/** How often the controller is asked whether the guest has taken what came before. */
const ASK_INTERVAL = 5;

/** Status register of the keyboard's controller (IBM PC/AT); reading it changes nothing. */
const STATUS_PORT = '0x64';
const OUTPUT_FULL = 0x01;

/** What is needed of QEMU's monitor. */
type Monitor = Pick<QmpClient, 'execute' | 'executeHuman'>;

interface Stroke {
  readonly name: KeyName;
  readonly down: boolean;
}

/**
 * Presses keys one after another. Each key goes down and up in one command, so that no guest takes it for one that is held, however
 * busy this computer is; and the next one waits until the guest has taken it, since the controller drops what it has no room for.
 */
export async function pressKeys(
  monitor: Monitor,
  keys: readonly Key[],
  { interval, patience }: Pace,
  signal: AbortSignal,
): Promise<void> {
  for (const key of keys) {
    for (const strokes of batchesOf(key)) {
      await waitUntilTaken(monitor, key, patience, signal);
      await abortable(monitor.execute('input-send-event', { events: strokes.map(toEvent) }), signal);
      await delay(interval, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
  const last = keys.at(-1);
  if (last === undefined) return;
  await waitUntilTaken(monitor, last, patience, signal).catch((error: unknown) => {
    // The key may have been the one that ends the machine.
    if (signal.aborted || errorKind(error) !== undefined) throw error;
  });
}

/** What goes to the guest at once: a key with what is held around it, as long as the controller has room for the bytes. */
export function batchesOf({ name, action, with: held = [] }: Key): readonly (readonly Stroke[])[] {
  const holding = action === 'up' ? [] : held.map((one): Stroke => ({ name: one, down: true }));
  const letting = action === 'down' ? [] : [...held].reverse().map((one): Stroke => ({ name: one, down: false }));
  const own: Stroke[] = [];
  if (action !== 'up') own.push({ name, down: true });
  if (action !== 'down') own.push({ name, down: false });
  // 16 bytes fit. A key has up to 8 of them, a modifier up to 5.
  const batches = held.length > 1 ? [holding, own, letting] : [[...holding, ...own, ...letting]];
  return batches.filter((batch) => batch.length > 0);
}

function toEvent({ name, down }: Stroke) {
  return { type: 'key', data: { down, key: { type: 'qcode', data: keyCodeOf(name) } } };
}

async function waitUntilTaken(monitor: Monitor, key: Key, patience: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + patience;
  for (;;) {
    const answer = await abortable(monitor.executeHuman(`i /xb ${STATUS_PORT}`), signal);
    const status = Number.parseInt(/=\s*(0x[0-9a-f]+)/i.exec(answer)?.[1] ?? '0', 16);
    if ((status & OUTPUT_FULL) === 0) return;
    if (performance.now() > deadline) {
      throw new GuestError(
        'keys-not-taken',
        `the guest did not take the keys before “${key.name}” within ${Math.round(patience / 1000)} s`,
        { hint: 'see on its last screen what it is doing; type later, or with a longer interval' },
      );
    }
    await delay(ASK_INTERVAL, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
