import { describe, expect, it } from 'vitest';
import type { Key } from '../key.js';
import { charactersOf, LAYOUT_NAMES, type LayoutName } from './characters.js';
import { LAYOUTS } from './layouts.js';
import { xkbLayout } from './xkb.test-support.js';

const ASCII = Array.from({ length: 95 }, (_, index) => String.fromCodePoint(0x20 + index));

/** Characters that a dead key gives with the space bar, on consoles as in X. */
const ALONE: Readonly<Record<string, string>> = { ˆ: '^', ˋ: '`', '˜': '~' };

/** Accents and the dead keys that put them on the next letter. */
const MARKS: Readonly<Record<string, string>> = {
  '\u0302': 'ˆ',
  '\u0300': 'ˋ',
  '\u0301': 'ˊ',
  '\u0303': '˜',
  '\u0308': '¨',
  '\u0327': '¸',
};

describe.each(LAYOUT_NAMES)('layout %s', (name: LayoutName) => {
  const x = name === 'dvorak' ? xkbLayout('us', 'dvorak') : xkbLayout(name);
  const characters = charactersOf(name);

  /** What a machine with this X layout takes one key for. */
  const given = ({ name: key, with: held = [] }: Key) => {
    if (key === 'space') return ' ';
    const level = (held.includes('left-shift') ? 1 : 0) + (held.includes('right-alt') ? 2 : 0);
    return x.get(key)?.[level] ?? '';
  };
  const composed = (symbols: readonly string[]) => {
    const [first = '', second] = symbols;
    if (second === undefined) return first;
    if (second === ' ') return ALONE[first];
    const mark = Object.keys(MARKS).find((one) => MARKS[one] === first);
    return (second + (mark ?? '?')).normalize('NFC');
  };

  it('gives every character on the keys that the X keyboard data say', () => {
    for (const [character, keys] of characters) {
      expect(composed(keys.map(given)), `${character} by ${JSON.stringify(keys)}`).toBe(character);
    }
  });

  it('types every printable character of ASCII', () => {
    expect(ASCII.filter((character) => !characters.has(character))).toEqual([]);
  });

  it('has a full row for each row of keys, and no key twice', () => {
    for (const rows of Object.values(LAYOUTS[name]) as (readonly string[])[]) {
      for (const [row, most] of [13, 12, 12, 11, 2].entries())
        expect([...(rows[row] ?? '')].length).toBeLessThanOrEqual(most);
    }
    const ways = [...characters.values()].map((keys) => JSON.stringify(keys));
    expect(new Set(ways).size).toBe(ways.length);
    for (const level of ['plain', 'shift'] as const)
      expect(LAYOUTS[name][level].slice(0, 4).map((row) => [...row].length)).toEqual([13, 12, 12, 11]);
  });
});

it('puts accents on letters with dead keys', () => {
  expect(charactersOf('fr').get('ê')).toEqual([
    { name: 'left-bracket', action: 'type' },
    { name: 'e', action: 'type' },
  ]);
  expect(charactersOf('de').get('É')).toEqual([
    { name: 'equal', action: 'type' },
    { name: 'e', action: 'type', with: ['left-shift'] },
  ]);
  expect(charactersOf('us').has('é')).toBe(false);
});
