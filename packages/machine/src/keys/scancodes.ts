import type { Key, KeyName } from '../key.js';

/** Precedes the codes of keys that the first PC keyboard, with 83 keys, did not have. */
const EXTENDED = 0xe0;

/** Set in a code when the key goes up. */
const RELEASED = 0x80;

/**
 * What a key sends when it goes down, in scan code set 1 (IBM PC/XT): rows of neighbours, each from its first code on. A
 * keyboard adds E0 2A and E0 AA around some of the extended keys, so that software made for the first one sees no shift;
 * machines take the keys without that and add what their keyboard needs.
 */
const PLAIN = {
  ...run(0x01, 'escape', '1', '2', '3', '4', '5', '6', '7', '8', '9', '0', 'minus', 'equal', 'backspace'),
  ...run(0x0f, 'tab', 'q', 'w', 'e', 'r', 't', 'y', 'u', 'i', 'o', 'p', 'left-bracket', 'right-bracket', 'enter'),
  ...run(0x1d, 'left-ctrl', 'a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'semicolon', 'apostrophe', 'grave'),
  ...run(0x2a, 'left-shift', 'backslash', 'z', 'x', 'c', 'v', 'b', 'n', 'm', 'comma', 'period', 'slash', 'right-shift'),
  ...run(0x37, 'keypad-multiply', 'left-alt', 'space', 'caps-lock'),
  ...run(0x3b, 'f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8', 'f9', 'f10', 'num-lock', 'scroll-lock'),
  ...run(0x47, 'keypad-7', 'keypad-8', 'keypad-9', 'keypad-minus', 'keypad-4', 'keypad-5', 'keypad-6', 'keypad-plus'),
  ...run(0x4f, 'keypad-1', 'keypad-2', 'keypad-3', 'keypad-0', 'keypad-period'),
  ...run(0x56, 'less', 'f11', 'f12'),
  ...run(0x73, 'ro'),
  ...run(0x7d, 'yen'),
};

const AFTER_PREFIX = {
  ...run(0x1c, 'keypad-enter', 'right-ctrl'),
  ...run(0x35, 'keypad-divide'),
  ...run(0x37, 'print-screen', 'right-alt'),
  ...run(0x47, 'home', 'up', 'page-up'),
  ...run(0x4b, 'left'),
  ...run(0x4d, 'right'),
  ...run(0x4f, 'end', 'down', 'page-down', 'insert', 'delete'),
  ...run(0x5b, 'left-super', 'right-super', 'menu'),
};

/** Pause is a sequence of its own, which ends with its release: nothing more comes when the key goes up. */
const PAUSE = [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5];

/**
 * The bytes of scan code set 1 that a keyboard sends for this, the keys of `with` around it. Hypervisors that take scan codes
 * take this set.
 */
export function scancodesOf({ name, action, with: held = [] }: Key): readonly number[] {
  const before = action === 'up' ? [] : held.flatMap((one) => codes(one, 0));
  const after = action === 'down' ? [] : [...held].reverse().flatMap((one) => codes(one, RELEASED));
  const down = action === 'up' ? [] : codes(name, 0);
  const up = action === 'down' ? [] : codes(name, RELEASED);
  return [...before, ...down, ...up, ...after];
}

function codes(name: KeyName, released: 0 | typeof RELEASED): readonly number[] {
  if (name === 'pause') return released === 0 ? PAUSE : [];
  if (isOneOf(AFTER_PREFIX, name)) return [EXTENDED, AFTER_PREFIX[name] + released];
  return [PLAIN[name] + released];
}

function isOneOf<T extends object>(table: T, name: PropertyKey): name is keyof T {
  return Object.hasOwn(table, name);
}

/** Names with codes that follow each other. */
function run<N extends KeyName>(first: number, ...names: readonly N[]): Record<N, number> {
  return Object.fromEntries(names.map((name, index) => [name, first + index])) as Record<N, number>;
}
