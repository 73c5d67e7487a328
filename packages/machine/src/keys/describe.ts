import type { Key, KeyName } from '../key.js';
import { heldAfter } from './held-keys.js';
import type { OutlineStep } from './step.js';

/** What would be done, one thing a line: the dry run of keystrokes. Below what is typed are the keys, named as on US boards. */
export function describeSteps(steps: readonly OutlineStep[]): string[] {
  const keys = steps.flatMap((step) => (step.kind === 'keys' ? step.keys : []));
  const held = heldAfter(keys);
  return [
    ...steps.flatMap(linesOf),
    ...(held.length === 0 ? [] : [`release ${held.join(', ')}: nothing is held down behind the last step`]),
  ];
}

/** What a wait waits for, as part of a sentence. */
export function describeWait(step: Exclude<OutlineStep, { kind: 'keys' | 'value' }>, slowdown = 1): string {
  switch (step.kind) {
    case 'wait':
      return describeTime(step.milliseconds);
    case 'still':
      return `until the screen is still for ${describeTime(step.still * slowdown)}, at most ${describeTime(step.limit * slowdown)}`;
    case 'text':
      return `for the text ${JSON.stringify(step.text)} on the serial console, at most ${describeTime(step.limit * slowdown)}`;
  }
}

function linesOf(step: OutlineStep): string[] {
  if (step.kind === 'value') return [`type    ${step.written}  (known during a build)`];
  if (step.kind !== 'keys') return [`wait    ${describeWait(step)}`];
  const keys = `keys    ${step.keys.map(describeKey).join(' ')}`;
  return step.written === undefined ? [keys] : [`type    ${step.written}`, `  ${keys}`];
}

function describeKey({ name, action, with: held = [] }: Key): string {
  const together = [...held.map(shortName), shortName(name)].join('+');
  return action === 'type' ? together : `${together}:${action}`;
}

/** `left-shift+a` a hundred times in a line is hard to read; the right one is never meant by a layout. */
function shortName(name: KeyName): string {
  return name === 'left-shift' ? 'shift' : name === 'right-alt' ? 'altgr' : name;
}

/** Milliseconds for people. */
export function describeTime(milliseconds: number): string {
  const rounded = (value: number) => Math.round(value * 10) / 10;
  if (rounded(milliseconds) < 1000) return `${rounded(milliseconds)} ms`;
  const seconds = rounded(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = rounded(seconds - minutes * 60);
  return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
}
