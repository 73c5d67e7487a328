import { type Event, GuestError } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { ConsoleText } from '../console.js';
import type { Key } from '../key.js';
import type { Machine } from '../machine.js';
import { parseKeystrokes } from './parse.js';
import { typeSteps } from './type-steps.js';

/** A machine that remembers what was pressed, and whose screen shows what the test says. */
class Keyboard implements Pick<Machine, 'press' | 'screenshot'> {
  readonly pressed: Key[] = [];
  readonly calls: (readonly Key[])[] = [];
  readonly intervals: (number | undefined)[] = [];
  readonly #screen: (count: number) => string;
  /** Called before each batch. */
  readonly #before: () => void;
  shots = 0;

  constructor(
    { screen = () => 'menu', before = () => undefined as void } = {} as Partial<{
      screen: (count: number) => string;
      before: () => void;
    }>,
  ) {
    this.#screen = screen;
    this.#before = before;
  }

  press(keys: readonly Key[], signal: AbortSignal, interval?: number): Promise<void> {
    return Promise.resolve().then(() => {
      signal.throwIfAborted();
      this.#before();
      this.calls.push(keys);
      this.intervals.push(interval);
      this.pressed.push(...keys);
    });
  }

  screenshot(signal: AbortSignal): Promise<Uint8Array> {
    return Promise.resolve().then(() => {
      signal.throwIfAborted();
      return Buffer.from(this.#screen(this.shots++));
    });
  }

  /** What a guest thinks is down. */
  held(): string[] {
    const held = new Set<string>();
    for (const { name, action } of this.pressed) {
      if (action === 'down') held.add(name);
      else held.delete(name);
    }
    return [...held];
  }
}

function start(text: string, machine: Keyboard, more: Partial<Parameters<typeof typeSteps>[2]> = {}) {
  const events: Event[] = [];
  const console = new ConsoleText();
  const controller = new AbortController();
  const done = typeSteps(machine, parseKeystrokes([text], { layout: 'us' }), {
    console,
    stage: 'type',
    emit: (event) => events.push(event),
    signal: controller.signal,
    ...more,
  });
  done.catch(() => undefined);
  return { done, events, console, controller };
}

const names = (keys: readonly Key[]) =>
  keys.map(({ name, action }) => (action === 'type' ? name : `${name}:${action}`)).join(' ');

describe('typeSteps', () => {
  it('presses in order, at the pace that was asked for, and says what it waits for', async () => {
    const machine = new Keyboard();
    const { done, events } = start('ab<wait20ms><leftCtrlOn>c<leftCtrlOff>', machine, { interval: 7 });
    await done;
    expect(machine.calls.map(names)).toEqual(['a b', 'left-ctrl:down c left-ctrl:up']);
    expect(machine.intervals).toEqual([7, 7]);
    expect(events).toEqual([
      { type: 'progress', stage: 'type', done: 2, total: 5, unit: 'steps' },
      { type: 'waiting', stage: 'type', message: '20 ms before the next keys' },
      { type: 'progress', stage: 'type', done: 5, total: 5, unit: 'steps' },
    ]);
  });

  it('lets go of what a command leaves down', async () => {
    const machine = new Keyboard();
    await start('<leftCtrlOn><leftAltOn><f2>', machine).done;
    expect(names(machine.pressed)).toBe('left-ctrl:down left-alt:down f2 left-alt:up left-ctrl:up');
  });

  it('cuts long texts, never while a key is down', async () => {
    const machine = new Keyboard();
    await start(`${'x'.repeat(60)}<leftShiftOn>${'y'.repeat(100)}<leftShiftOff>${'z'.repeat(30)}`, machine).done;
    expect(machine.calls.map(({ length }) => length)).toEqual([162, 30]);
    expect(machine.held()).toEqual([]);
  });

  it('lets go of everything when pressing fails half way', async () => {
    let calls = 0;
    const machine = new Keyboard({
      before: () => {
        if (++calls === 2) throw new Error('gone');
      },
    });
    await expect(start('<leftCtrlOn><wait1ms>A', machine).done).rejects.toThrow('gone');
    expect(names(machine.calls.at(-1) ?? [])).toBe('left-ctrl:up left-shift:up a:up');
  });

  it('fails with the first reason, also when nothing can be let go of', async () => {
    let calls = 0;
    const machine = new Keyboard({
      before: () => {
        if (++calls > 1) throw new Error(`gone ${calls}`);
      },
    });
    await expect(start('<leftCtrlOn><wait1ms>x', machine).done).rejects.toThrow('gone 2');
  });

  it.each(['<wait1h>', '<wait until screen is still>', '<wait for text "x" on the serial console>'])(
    'ends at once while it waits: %s',
    async (tag) => {
      const machine = new Keyboard({ screen: (count) => String(count) });
      const { done, controller } = start(`<leftCtrlOn>${tag}x`, machine);
      await new Promise((resolve) => setTimeout(resolve, 30));
      const ended = performance.now();
      const reason = new Error('ended by SIGINT');
      controller.abort(reason);
      await expect(done).rejects.toBe(reason);
      expect(performance.now() - ended).toBeLessThan(500);
      expect(machine.held()).toEqual([]);
      expect(names(machine.pressed)).not.toContain('x');
    },
  );

  it('does nothing when it was ended before', async () => {
    const machine = new Keyboard();
    await expect(start('x', machine, { signal: AbortSignal.abort(new Error('over')) }).done).rejects.toThrow('over');
    expect(machine.pressed).toEqual([]);
  });
});

describe('waiting for a still screen', () => {
  it('takes a blinking cursor for still', async () => {
    const machine = new Keyboard({
      screen: (count) => (count < 6 ? `loading ${count}` : `boot: ${count % 2 ? '_' : ' '}`),
    });
    await start('<wait until screen is still for 80ms 5s>x', machine).done;
    expect(machine.shots).toBeGreaterThan(8);
    expect(names(machine.pressed)).toBe('x');
  });

  it('never takes a countdown or a wheel for still', async () => {
    for (const screen of [(count: number) => `in ${count} s`, (count: number) => '|/-\\'[count % 4] ?? '']) {
      const machine = new Keyboard({ screen });
      const { done, console } = start('<wait until screen is still for 60ms 300ms>x', machine);
      console.push(Buffer.from('Loading\n'));
      const error = await done.catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(GuestError);
      expect(error).toMatchObject({
        code: 'screen-not-still',
        transcript: 'Loading',
        message: expect.stringContaining('within 300 ms'),
      });
      expect(machine.pressed).toEqual([]);
    }
  });

  it('waits for a screen to be there, and says when there was none', async () => {
    const late = new Keyboard({
      screen: (count) => {
        if (count < 3) throw new Error('no screen yet');
        return 'menu';
      },
    });
    await start('<wait until screen is still for 40ms 5s>', late).done;
    const never = new Keyboard({
      screen: () => {
        throw new Error('no screen at all');
      },
    });
    await expect(start('<wait until screen is still for 40ms 200ms>', never).done).rejects.toMatchObject({
      message: expect.stringContaining('no picture'),
      cause: expect.objectContaining({ message: 'no screen at all' }),
    });
  });

  it('gives a slow machine more time', async () => {
    const { done, events } = start('<wait until screen is still for 20ms 1s>', new Keyboard(), { slowdown: 8 });
    const started = performance.now();
    await done;
    expect(performance.now() - started).toBeGreaterThan(150);
    expect(events[0]).toMatchObject({ message: 'until the screen is still for 160 ms, at most 8 s' });
  });
});

describe('waiting for a text', () => {
  it('takes what was said before, and each text once', async () => {
    const machine = new Keyboard();
    const wait = '<wait for text "login:" on the serial console 5s>';
    const { done, console } = start(`${wait}a${wait}b`, machine);
    console.push(Buffer.from('first login: '));
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(names(machine.pressed)).toBe('a');
    console.push(Buffer.from('\r\nsecond log\x1b[0min: '));
    await done;
    expect(names(machine.pressed)).toBe('a b');
  });

  it('ends with what the console said instead', async () => {
    const { done, console } = start('<wait for text "login:" on the serial console 150ms>x', new Keyboard());
    console.push(Buffer.from('Kernel panic\n'));
    await expect(done).rejects.toMatchObject({
      code: 'console-text-missing',
      message: 'the serial console did not show "login:" within 150 ms',
      transcript: 'Kernel panic',
    });
  });
});
