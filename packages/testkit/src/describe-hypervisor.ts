import { access } from 'node:fs/promises';
import type { Key, KeyName } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { type HypervisorSuite, type MakeHypervisor, openBench, start } from './describe-hypervisor/bench.js';
import { describeStarts } from './describe-hypervisor/starts.js';

export type { HypervisorSuite, MakeHypervisor };

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Within which a machine's end has to be noticed, in milliseconds; twice the promise, for busy computers. */
const AT_ONCE = 2000;
/** More than the BIOS of a PC keeps for a guest that is busy. */
const LONG_LINE = 'the quick brown fox jumps over the lazy dog 0123456789';

/**
 * Everything that must hold for every hypervisor, tried on the real one with a guest of 512 bytes. `make` is called for each
 * test; what was started through its context must have ended when the machines were disposed.
 */
export function describeHypervisor(make: MakeHypervisor, suite: HypervisorSuite): void {
  const limit = (suite.patience ?? 60_000) * 3;

  describe('the hypervisor keeps its contract', () => {
    it(
      'says what runs the guest, and how slowly',
      async () => {
        await using bench = await openBench(make, suite);
        const acceleration = await bench.hypervisor.acceleration(bench.signal);
        expect(acceleration.description.length).toBeGreaterThan(2);
        expect(acceleration.slowdown).toBeGreaterThanOrEqual(1);
      },
      limit,
    );

    it(
      'takes a guest from its first start to its disk',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        await machine.stopped(bench.signal); // not started yet
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1));
        const before = Buffer.from(await machine.screenshot(bench.signal));
        expect(before.subarray(0, PNG.length)).toEqual(PNG);

        await machine.press(typed('polyvisor'), bench.signal);
        await bench.console(spec, /polyvisor$/);
        expect(Buffer.from(await machine.screenshot(bench.signal))).not.toEqual(before);

        // What the guest wrote is on its disk, and its console goes on in the same file, when it is started again.
        await machine.powerOff('button', bench.signal);
        expect(await machine.stopped(bench.signal)).toMatchObject({ kind: 'off' });
        expect(await bench.starts(spec.disk)).toBe(1);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, new RegExp(`${start(1).source}[^]*${start(2).source}`));

        await machine[Symbol.asyncDispose]();
        await machine[Symbol.asyncDispose]();
        expect(bench.context.running()).toEqual([]);
        expect(await bench.starts(spec.disk)).toBe(2); // the disk is the caller's
        await access(spec.serialLog);
      },
      limit,
    );

    it(
      'types every key once and in order, however many',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1));
        await machine.press(typed(LONG_LINE), bench.signal);
        await bench.console(spec, new RegExp(`${LONG_LINE}$`));
        await machine.press(
          [
            key('enter'),
            key('a', ['left-shift']),
            key('f1'),
            key('f12'),
            key('up'),
            key('left-shift', [], 'down'),
            key('b'),
            key('1'),
            key('left-shift', [], 'up'),
            key('c'),
            key('a', ['left-ctrl']),
            key('keypad-enter'),
            key('slash'),
          ],
          bench.signal,
        );
        await bench.console(spec, /\r\nA<3b><86><48>B!c\x01\r\n\/$/); // eslint-disable-line no-control-regex
      },
      limit,
    );

    it(
      'goes on when the guest restarts, and cuts the power',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1));
        const stopped = machine.stopped(bench.signal);
        await machine.press([key('escape')], bench.signal);
        await bench.console(spec, start(2));
        await machine.powerOff('hard', bench.signal);
        expect(await within(AT_ONCE, stopped)).toMatchObject({ kind: 'ended' });
        expect(await within(AT_ONCE, machine.stopped(bench.signal))).toMatchObject({ kind: 'ended' });
        await machine.powerOff('hard', bench.signal); // of a machine that is off
        expect(await bench.starts(spec.disk)).toBe(2);
      },
      limit,
    );

    it(
      'notices that it was killed, at once',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1));
        const stopped = machine.stopped(bench.signal);
        await bench.kill(spec);
        expect(await within(AT_ONCE, stopped)).toMatchObject({ kind: 'died' });
        await expect(machine.screenshot(bench.signal)).rejects.toThrow();
        await expect(machine.press([key('a')], bench.signal)).rejects.toThrow();
        await machine[Symbol.asyncDispose]();
        expect(bench.context.running()).toEqual([]);
      },
      limit,
    );

    it(
      'ends a machine that runs when it is disposed, and tells who waits',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1));
        const stopped = machine.stopped(bench.signal);
        await Promise.all([machine[Symbol.asyncDispose](), machine[Symbol.asyncDispose]()]);
        expect(await within(AT_ONCE, stopped)).toMatchObject({ kind: 'ended' });
        expect(bench.context.running()).toEqual([]);
      },
      limit,
    );

    it(
      'runs two machines beside each other, each with ports of its own',
      async () => {
        await using bench = await openBench(make, suite);
        const specs = [await bench.spec({ forwardedPorts: [22, 80] }), await bench.spec()] as const;
        const machines = [await bench.create(specs[0]), await bench.create(specs[1])] as const;
        await Promise.all(machines.map((machine) => machine.start({ kind: 'disk' }, bench.signal)));
        await Promise.all(specs.map((spec) => bench.console(spec, start(1))));
        const places = [await machines[0].endpoint(22), await machines[0].endpoint(80), await machines[1].endpoint(22)];
        expect(new Set(places.map(({ port }) => port)).size).toBe(3);
        for (const { host } of places) expect(host).toMatch(/^(127\.|::1$|localhost$)/);
        expect(await machines[0].endpoint(22)).toEqual(places[0]);
        await machines[0][Symbol.asyncDispose]();
        await machines[1].press([key('x')], bench.signal);
        await bench.console(specs[1], /x$/);
      },
      limit,
    );

    it(
      'does nothing when it is cancelled before',
      async () => {
        await using bench = await openBench(make, suite);
        const reason = new Error('cancelled');
        const cancelled = AbortSignal.abort(reason);
        const spec = await bench.spec();
        await expect(bench.hypervisor.create(spec, bench.directory, cancelled)).rejects.toBe(reason);
        const machine = await bench.create(spec);
        await expect(machine.start({ kind: 'disk' }, cancelled)).rejects.toBe(reason);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1)); // the first: it was not started before
        await expect(machine.press(typed('nothing'), cancelled)).rejects.toBe(reason);
        await expect(machine.screenshot(cancelled)).rejects.toBe(reason);
        await expect(machine.stopped(cancelled)).rejects.toBe(reason);
        await expect(machine.powerOff('hard', cancelled)).rejects.toBe(reason);
        await machine.press([key('a')], bench.signal);
        expect(await bench.console(spec, /a$/)).not.toContain('nothing');
      },
      limit,
    );

    it(
      'stops typing and waiting when it is cancelled meanwhile, and goes on afterwards',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        await machine.start({ kind: 'disk' }, bench.signal);
        await bench.console(spec, start(1));
        const cancel = new AbortController();
        const reason = new Error('cancelled');
        const waiting = expect(machine.stopped(cancel.signal)).rejects.toBe(reason);
        const typing = expect(machine.press(typed('a'.repeat(2000)), cancel.signal)).rejects.toBe(reason);
        await bench.console(spec, /aaa/);
        cancel.abort(reason);
        await within(AT_ONCE, Promise.all([waiting, typing]));
        await machine.press([key('enter'), key('z')], bench.signal);
        const text = await bench.console(spec, /\nz$/);
        expect(text.match(/a/g)?.length).toBeLessThan(2000);
      },
      limit,
    );

    it(
      'ends at once when it is cancelled while it starts',
      async () => {
        await using bench = await openBench(make, suite);
        const spec = await bench.spec();
        const machine = await bench.create(spec);
        const cancel = new AbortController();
        const reason = new Error('cancelled');
        const starting = machine.start({ kind: 'disk' }, cancel.signal);
        setImmediate(() => cancel.abort(reason));
        // It may have been quicker.
        await starting.catch((error: unknown) => expect(error).toBe(reason));
        await machine[Symbol.asyncDispose]();
        expect(bench.context.running()).toEqual([]);
      },
      limit,
    );

    describeStarts(make, suite, limit);
  });
}

/** What a person with a US keyboard would press for lower-case letters, digits and spaces. */
function typed(text: string): Key[] {
  return [...text].map((character) => key(character === ' ' ? 'space' : (character as KeyName)));
}

function key(name: KeyName, held: readonly KeyName[] = [], action: Key['action'] = 'type'): Key {
  return { name, action, ...(held.length === 0 ? {} : { with: held }) };
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
