import type { Key, KeyName } from '../key.js';

/** Keys that have a tag, as tags are usually written. Case and hyphens do not matter. */
const NAMES: Readonly<Record<string, KeyName>> = {
  enter: 'enter',
  return: 'enter',
  esc: 'escape',
  escape: 'escape',
  tab: 'tab',
  spacebar: 'space',
  space: 'space',
  bs: 'backspace',
  backspace: 'backspace',
  del: 'delete',
  delete: 'delete',
  insert: 'insert',
  home: 'home',
  end: 'end',
  pageUp: 'page-up',
  pageDown: 'page-down',
  up: 'up',
  down: 'down',
  left: 'left',
  right: 'right',
  menu: 'menu',
  printScreen: 'print-screen',
  scrollLock: 'scroll-lock',
  pause: 'pause',
  numLock: 'num-lock',
  capsLock: 'caps-lock',
  ...Object.fromEntries(numbers(12).map((number) => [`f${number}`, `f${number}`])),
  ...Object.fromEntries(
    (['left', 'right'] as const).flatMap((side) => [
      [`${side}Shift`, `${side}-shift`],
      [`${side}Ctrl`, `${side}-ctrl`],
      [`${side}Alt`, `${side}-alt`],
      [`${side}Option`, `${side}-alt`],
      [`${side}Super`, `${side}-super`],
      [`${side}Command`, `${side}-super`],
      [`${side}Meta`, `${side}-super`],
    ]),
  ),
  ...Object.fromEntries(['0', ...numbers(9)].map((digit) => [`keypad${digit}`, `keypad-${digit}`])),
  keypadEnter: 'keypad-enter',
  keypadPlus: 'keypad-plus',
  keypadMinus: 'keypad-minus',
  keypadMultiply: 'keypad-multiply',
  keypadDivide: 'keypad-divide',
  keypadPeriod: 'keypad-period',
};

/** Tags for several keys at once. `VT1` to `VT12` change the virtual terminal, `KillX` ends an X server. */
const TOGETHER: Readonly<Record<string, Key>> = {
  killX: { name: 'backspace', action: 'type', with: ['left-ctrl', 'left-alt'] },
  ...Object.fromEntries(
    numbers(12).map((number) => [`VT${number}`, { name: `f${number}`, action: 'type', with: ['left-alt'] }]),
  ),
};

const keys = new Map<string, Key>([
  ...Object.entries(NAMES).flatMap(([tag, name]): [string, Key][] => [
    [`${tag}On`, { name, action: 'down' }],
    [`${tag}Off`, { name, action: 'up' }],
  ]),
  ...Object.entries(NAMES).map(([tag, name]): [string, Key] => [tag, { name, action: 'type' }]),
  ...Object.entries(TOGETHER),
]);

const byPlainName = new Map([...keys].map(([tag, key]) => [plain(tag), key]));

/** Every tag for keys, as it is usually written: first those that are meant when a tag is misspelt. */
export const KEY_TAGS: readonly string[] = [...Object.keys(NAMES), ...Object.keys(TOGETHER), ...keys.keys()];

/** What a tag does to a key; undefined when no key is called that. */
export function keyOfTag(inside: string): Key | undefined {
  return byPlainName.get(plain(inside));
}

function plain(tag: string): string {
  return tag.toLowerCase().replaceAll('-', '');
}

function numbers(last: number): string[] {
  return Array.from({ length: last }, (_, index) => String(index + 1));
}
