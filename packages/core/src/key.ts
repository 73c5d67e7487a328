/**
 * Keys by their position on the board, named after what a US keyboard has there: `a`, `1`, `minus`, `enter`, `left-ctrl`, …
 * Which character a key gives is the layout's business, and which code a hypervisor wants for it is the adapter's.
 */
export type KeyName = (typeof KEY_NAMES)[number];

/** What happens to one key. A key that is typed goes down and up again. */
export interface Key {
  readonly name: KeyName;
  readonly action: 'type' | 'down' | 'up';
  /** Keys held down around it, such as `left-shift` for a capital letter. */
  readonly with?: readonly KeyName[];
}

/** Every key of a PC keyboard with 105 keys, and the two that Japanese keyboards have besides. */
export const KEY_NAMES = [
  ...(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm'] as const),
  ...(['n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z'] as const),
  ...(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const),
  ...(['grave', 'minus', 'equal', 'left-bracket', 'right-bracket', 'backslash', 'semicolon', 'apostrophe'] as const),
  // The key between left shift and Z, which US keyboards do not have.
  ...(['comma', 'period', 'slash', 'less'] as const),
  // Japanese keyboards: left of backspace, and left of the right shift.
  ...(['yen', 'ro'] as const),
  ...(['enter', 'escape', 'backspace', 'tab', 'space', 'caps-lock', 'menu'] as const),
  ...(['f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8', 'f9', 'f10', 'f11', 'f12'] as const),
  ...(['up', 'down', 'left', 'right', 'home', 'end', 'page-up', 'page-down', 'insert', 'delete'] as const),
  ...(['print-screen', 'scroll-lock', 'pause', 'num-lock'] as const),
  ...(['left-shift', 'right-shift', 'left-ctrl', 'right-ctrl', 'left-alt', 'right-alt'] as const),
  ...(['left-super', 'right-super'] as const),
  ...(['keypad-0', 'keypad-1', 'keypad-2', 'keypad-3', 'keypad-4', 'keypad-5', 'keypad-6', 'keypad-7'] as const),
  ...(['keypad-8', 'keypad-9', 'keypad-enter', 'keypad-plus', 'keypad-minus', 'keypad-multiply'] as const),
  ...(['keypad-divide', 'keypad-period'] as const),
] as const;
