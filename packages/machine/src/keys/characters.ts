import type { Key, KeyName } from '../key.js';
import { type Layout, LAYOUTS } from './layouts.js';

/** Id of a layout that can be typed on. */
export type LayoutName = keyof typeof LAYOUTS;

/** Every layout there is, for messages and help. */
export const LAYOUT_NAMES: readonly LayoutName[] = (Object.keys(LAYOUTS) as LayoutName[]).sort();

/** The keys that type characters, as the rows of a layout list them; the last row is on Japanese keyboards only. */
const KEY_ROWS: readonly (readonly KeyName[])[] = [
  ['grave', '1', '2', '3', '4', '5', '6', '7', '8', '9', '0', 'minus', 'equal'],
  ['q', 'w', 'e', 'r', 't', 'y', 'u', 'i', 'o', 'p', 'left-bracket', 'right-bracket'],
  ['a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'semicolon', 'apostrophe', 'backslash'],
  ['less', 'z', 'x', 'c', 'v', 'b', 'n', 'm', 'comma', 'period', 'slash'],
  ['yen', 'ro'],
];

/** Fewest modifiers first: of several ways to type a character the first one is taken. */
const LEVELS = [
  ['plain', []],
  ['shift', ['left-shift']],
  ['altGr', ['right-alt']],
  ['both', ['left-shift', 'right-alt']],
] as const satisfies readonly (readonly [keyof Layout, readonly KeyName[]])[];

/** Dead keys: the combining mark that each puts on the next letter, and what it gives with the space bar. */
const DEAD: Readonly<Record<string, { readonly mark: string; readonly alone?: string }>> = {
  ˆ: { mark: '\u0302', alone: '^' },
  ˋ: { mark: '\u0300', alone: '`' },
  '˜': { mark: '\u0303', alone: '~' },
  // What the space bar makes of these two is not the same on every system, so nothing relies on it.
  ˊ: { mark: '\u0301' },
  '¨': { mark: '\u0308' },
  '¸': { mark: '\u0327' },
};

const SPACE: Key = { name: 'space', action: 'type' };

const known = new Map<LayoutName, ReadonlyMap<string, readonly Key[]>>();

/** Every character that a layout types, with the keys for it: one, or a dead key and another one. */
export function charactersOf(name: LayoutName): ReadonlyMap<string, readonly Key[]> {
  const made = known.get(name) ?? withDeadKeys(keysOf(LAYOUTS[name]));
  known.set(name, made);
  return made;
}

/** Dead keys are in here under their marks. */
function keysOf(layout: Layout): Map<string, readonly Key[]> {
  const found = new Map<string, readonly Key[]>([[' ', [SPACE]]]);
  for (const [level, held] of LEVELS) {
    for (const [row, characters] of (layout[level] ?? []).entries()) {
      for (const [column, character] of [...characters].entries()) {
        const name = KEY_ROWS[row]?.[column];
        if (name === undefined || found.has(character)) continue;
        found.set(character, [{ name, action: 'type', ...(held.length === 0 ? {} : { with: held }) }]);
      }
    }
  }
  return found;
}

function withDeadKeys(direct: ReadonlyMap<string, readonly Key[]>): ReadonlyMap<string, readonly Key[]> {
  const all = new Map([...direct].filter(([character]) => DEAD[character] === undefined));
  for (const [dead, { mark, alone }] of Object.entries(DEAD)) {
    const first = direct.get(dead);
    if (first === undefined) continue;
    if (alone !== undefined && !all.has(alone)) all.set(alone, [...first, SPACE]);
    for (const [letter, second] of direct) {
      const composed = (letter + mark).normalize('NFC');
      if (/^[a-z]$/i.test(letter) && composed.length === 1 && !all.has(composed))
        all.set(composed, [...first, ...second]);
    }
  }
  return all;
}
