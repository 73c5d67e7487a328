import { KEY_NAMES, type Key } from '@polyvisor/core';
import { scancodesOf } from '@polyvisor/machine';
import { type QmpClient, QemuProcess } from '@polyvisor/qemu';
import { available } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { openBench } from './bench.test-support.js';
import { keyCodeOf } from './key-codes.js';
import { batchesOf, pressKeys } from './keyboard.js';
import { scancodeGuest } from './scancode-guest.test-support.js';

const tested = available('qemu-system-x86_64', 'qemu-system-x86');

describe.runIf(tested)('the keyboard of the real QEMU', { timeout: 60_000 }, () => {
  it('takes every key by the name that we give it', async () => {
    await using bench = await openBench();
    const args = ['-nodefaults', '-display', 'none', '-machine', 'none'];
    await using qemu = QemuProcess.launch(bench.context, {
      program: 'qemu-system-x86_64',
      args,
      workDir: bench.directory,
    });
    expect(await qemu.ready()).toBe(true);
    // One type alone has this value: QKeyCode.
    const types = (await qemu.monitor.execute('query-qmp-schema')) as {
      members?: { name: string }[];
      values?: string[];
    }[];
    const keys = types.find(({ values }) => values?.includes('kp_decimal') === true)?.values ?? [];
    expect(KEY_NAMES.filter((name) => !keys.includes(keyCodeOf(name)))).toEqual([]);
  });

  it('sends what a PC keyboard sends, for every key, however fast they are pressed', async () => {
    await using bench = await openBench();
    const { machine, spec } = await bench.machine(scancodeGuest());
    await machine.start({ kind: 'disk' }, bench.signal);
    await bench.said(spec, /ready /);
    const keys: Key[] = [
      ...KEY_NAMES.map((name): Key => ({ name, action: 'type' })),
      { name: 'a', action: 'type', with: ['left-shift'] },
      { name: 'delete', action: 'type', with: ['right-ctrl', 'right-alt', 'right-super'] },
      { name: 'left-ctrl', action: 'down' },
      { name: 'c', action: 'type' },
      { name: 'left-ctrl', action: 'up' },
    ];
    await machine.press(keys, bench.signal, 0);
    const expected = keys.map((key) => hex(scancodesOf(key)));
    await bench.said(spec, new RegExp(`${expected.at(-1)}$`));
    const said = await bench.said(spec, /ready /);
    expect(withoutFakeShifts(said.replace('ready ', ''))).toBe(withoutFakeShifts(expected.join('')));
  });
});

describe('pressKeys', () => {
  /** A monitor that notes what is sent, and a keyboard's controller with this status. */
  function monitorWith(status: () => number) {
    const sent: unknown[] = [];
    const monitor: Pick<QmpClient, 'execute' | 'executeHuman'> = {
      execute: (_command, args) => Promise.resolve(void sent.push(args)),
      executeHuman: () => Promise.resolve(`portb[0x0064] = 0x${status().toString(16)}\r\n`),
    };
    return { sent, monitor };
  }
  const a: Key = { name: 'a', action: 'type' };
  const signal = new AbortController().signal;

  it('says so when the guest does not take its keys, and sends no more', async () => {
    const { monitor, sent } = monitorWith(() => (sent.length > 0 ? 0x1d : 0x1c));
    await expect(pressKeys(monitor, [a, a], { interval: 0, patience: 50 }, signal)).rejects.toMatchObject({
      code: 'keys-not-taken',
    });
    expect(sent).toHaveLength(1);
  });

  it('keeps the interval', async () => {
    const { monitor } = monitorWith(() => 0x1c);
    const before = performance.now();
    await pressKeys(monitor, [a, a, a], { interval: 30, patience: 50 }, signal);
    expect(performance.now() - before).toBeGreaterThan(85);
  });

  it('ends with the reason of the signal, also while the guest takes nothing', async () => {
    const cancel = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => cancel.abort(reason), 30);
    const { monitor } = monitorWith(() => 0x1d);
    await expect(pressKeys(monitor, [a], { interval: 0, patience: 60_000 }, cancel.signal)).rejects.toBe(reason);
  });
});

describe('batchesOf', () => {
  const names = (key: Key) =>
    batchesOf(key).map((batch) => batch.map(({ name, down }) => `${name}${down ? '↓' : '↑'}`).join(' '));

  it('presses and lets go at once, so that nothing repeats', () => {
    expect(names({ name: 'a', action: 'type' })).toEqual(['a↓ a↑']);
    expect(names({ name: 'a', action: 'type', with: ['left-shift'] })).toEqual(['left-shift↓ a↓ a↑ left-shift↑']);
  });

  it('holds several modifiers around a key, within what the controller has room for', () => {
    expect(names({ name: 'delete', action: 'type', with: ['left-ctrl', 'left-alt'] })).toEqual([
      'left-ctrl↓ left-alt↓',
      'delete↓ delete↑',
      'left-alt↑ left-ctrl↑',
    ]);
  });

  it('leaves down what only goes down', () => {
    expect(names({ name: 'left-ctrl', action: 'down' })).toEqual(['left-ctrl↓']);
    expect(names({ name: 'left-ctrl', action: 'up' })).toEqual(['left-ctrl↑']);
  });
});

function hex(bytes: readonly number[]): string {
  return Buffer.from(bytes).toString('hex').toUpperCase();
}

/** A keyboard surrounds some keys by a shift that nobody pressed, for programs made for the first one. */
function withoutFakeShifts(codes: string): string {
  return codes.replaceAll(/E02A(?=E0)|(?<=E0..)E0AA/g, '');
}
