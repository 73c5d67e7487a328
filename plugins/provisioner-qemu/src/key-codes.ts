import type { KeyName } from '@polyvisor/core';

/** Names by which QEMU (`QKeyCode`) knows the keys, where it has another name than ours without its hyphens. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  grave: 'grave_accent',
  'left-bracket': 'bracket_left',
  'right-bracket': 'bracket_right',
  period: 'dot',
  enter: 'ret',
  escape: 'esc',
  space: 'spc',
  // QEMU's `menu` is another key, of multimedia keyboards.
  menu: 'compose',
  'page-up': 'pgup',
  'page-down': 'pgdn',
  'print-screen': 'print',
  'left-shift': 'shift',
  'right-shift': 'shift_r',
  'left-ctrl': 'ctrl',
  'right-ctrl': 'ctrl_r',
  'left-alt': 'alt',
  'right-alt': 'alt_r',
  'left-super': 'meta_l',
  'right-super': 'meta_r',
  'keypad-plus': 'kp_add',
  'keypad-minus': 'kp_subtract',
  'keypad-period': 'kp_decimal',
};

/** What `input-send-event` takes for the key. */
export function keyCodeOf(name: KeyName): string {
  return OTHER_NAMES[name] ?? name.replace(/^keypad-/, 'kp_').replaceAll('-', '_');
}
