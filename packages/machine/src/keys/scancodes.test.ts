import { describe, expect, it } from 'vitest';
import { KEY_NAMES, type Key } from '../key.js';
import { scancodesOf } from './scancodes.js';

const hex = (key: Key) =>
  scancodesOf(key)
    .map((code) => code.toString(16).padStart(2, '0'))
    .join(' ');

describe('scancodesOf', () => {
  // Written down from the tables of set 1, key by key, not from the rows in the source.
  it.each([
    ['escape', '01 81'],
    ['1', '02 82'],
    ['0', '0b 8b'],
    ['equal', '0d 8d'],
    ['backspace', '0e 8e'],
    ['tab', '0f 8f'],
    ['q', '10 90'],
    ['p', '19 99'],
    ['right-bracket', '1b 9b'],
    ['enter', '1c 9c'],
    ['left-ctrl', '1d 9d'],
    ['a', '1e 9e'],
    ['l', '26 a6'],
    ['semicolon', '27 a7'],
    ['apostrophe', '28 a8'],
    ['grave', '29 a9'],
    ['left-shift', '2a aa'],
    ['backslash', '2b ab'],
    ['z', '2c ac'],
    ['m', '32 b2'],
    ['slash', '35 b5'],
    ['right-shift', '36 b6'],
    ['keypad-multiply', '37 b7'],
    ['left-alt', '38 b8'],
    ['space', '39 b9'],
    ['caps-lock', '3a ba'],
    ['f1', '3b bb'],
    ['f10', '44 c4'],
    ['num-lock', '45 c5'],
    ['scroll-lock', '46 c6'],
    ['keypad-7', '47 c7'],
    ['keypad-minus', '4a ca'],
    ['keypad-5', '4c cc'],
    ['keypad-plus', '4e ce'],
    ['keypad-0', '52 d2'],
    ['keypad-period', '53 d3'],
    ['less', '56 d6'],
    ['f11', '57 d7'],
    ['f12', '58 d8'],
    ['ro', '73 f3'],
    ['yen', '7d fd'],
    ['keypad-enter', 'e0 1c e0 9c'],
    ['right-ctrl', 'e0 1d e0 9d'],
    ['keypad-divide', 'e0 35 e0 b5'],
    ['print-screen', 'e0 37 e0 b7'],
    ['right-alt', 'e0 38 e0 b8'],
    ['home', 'e0 47 e0 c7'],
    ['up', 'e0 48 e0 c8'],
    ['page-up', 'e0 49 e0 c9'],
    ['left', 'e0 4b e0 cb'],
    ['right', 'e0 4d e0 cd'],
    ['end', 'e0 4f e0 cf'],
    ['down', 'e0 50 e0 d0'],
    ['page-down', 'e0 51 e0 d1'],
    ['insert', 'e0 52 e0 d2'],
    ['delete', 'e0 53 e0 d3'],
    ['left-super', 'e0 5b e0 db'],
    ['right-super', 'e0 5c e0 dc'],
    ['menu', 'e0 5d e0 dd'],
    ['pause', 'e1 1d 45 e1 9d c5'],
  ] as const)('types %s as %s', (name, expected) => {
    expect(hex({ name, action: 'type' })).toBe(expected);
  });

  it('has a code of its own for every key', () => {
    const all = KEY_NAMES.map((name) => hex({ name, action: 'down' }));
    expect(new Set(all).size).toBe(KEY_NAMES.length);
    expect(all.join(' ')).not.toContain('NaN');
  });

  it('holds keys around another one, and lets them go in the opposite order', () => {
    expect(hex({ name: 'delete', action: 'type', with: ['left-ctrl', 'left-alt'] })).toBe('1d 38 e0 53 e0 d3 b8 9d');
  });

  it('splits what is typed into what goes down and what goes up', () => {
    for (const name of KEY_NAMES) {
      const held = { name, with: ['right-alt', 'left-shift'] } as const;
      const [down, up] = (['down', 'up'] as const).map((action) => scancodesOf({ ...held, action }));
      expect([...(down ?? []), ...(up ?? [])]).toEqual(scancodesOf({ ...held, action: 'type' }));
    }
  });
});
