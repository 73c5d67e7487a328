import { describe, expect, it } from 'vitest';
import { parseKeystrokes } from './parse.js';
import { notice, recordings, sent } from './recorded.test-support.js';

/** Commands of public definitions, and some that name every key and character there is. */
const packer = recordings('packer.recorded.json');
const veewee = recordings('veewee.recorded.json');

const PACKER_VALUES = { '{{ .HTTPIP }}': '10.0.2.2', '{{ .HTTPPort }}': '8123', '{{ .Name }}': 'appliance' };
const VEEWEE_VALUES = { '%IP%': '10.0.2.2', '%PORT%': '7122', '%NAME%': 'appliance' };

const filled = (texts: readonly string[], values: Readonly<Record<string, string>>) =>
  texts.map((text) => Object.entries(values).reduce((all, [name, value]) => all.replaceAll(name, value), text));

describe('keys and waits are those of Packer', () => {
  it.each(packer)('$name', ({ command, sent: theirs }) => {
    const events = theirs.map((event) => {
      const wait = /^wait ([\d.]+)(m?s)$/.exec(event);
      return wait === null ? event : Number(wait[1]) * (wait[2] === 's' ? 1000 : 1);
    });
    const expected = notice(events);
    expect(expected.length).toBeGreaterThan(5);
    expect(notice(sent(parseKeystrokes(filled(command, PACKER_VALUES), { layout: 'us' })))).toEqual(expected);
  });
});

describe('keys and waits are those of veewee', () => {
  it.each(veewee)('$name', ({ command, sent: theirs }) => {
    const events = theirs.flatMap((element) => [
      ...element
        // It leaves Ctrl and backspace down for ever.
        .replace('1d 38 0e b8', '1d 38 0e 8e b8 9d')
        // Its arrows are those of the keypad, which give the same while Num Lock is off.
        .replaceAll(/\b(4[789bdf]|5[0-3]) (c[789bdf]|d[0-3])/g, 'e0 $1 e0 $2')
        .split(' ')
        .map((code) => {
          const wait = /^wait(\d*)$/.exec(code);
          return wait === null ? code : 1000 * Number(wait[1] === '' ? 1 : wait[1]);
        }),
      500,
    ]);
    const expected = notice(events);
    expect(expected.length).toBeGreaterThan(5);
    const steps = parseKeystrokes(filled(command, VEEWEE_VALUES), { layout: 'us', pause: 500 });
    expect(notice(sent(steps))).toEqual(expected);
  });
});

it('notices what is held around a key, not how it is let go of', () => {
  expect(notice(['2a 1e aa 9e', '1d 2d ad 9d', 500, 500, 'e0 48 e0 c8'])).toEqual([
    '2a',
    'shift+1e',
    '1d',
    'ctrl+2d',
    1000,
    'e048',
  ]);
});
