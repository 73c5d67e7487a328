import { readFileSync } from 'node:fs';
import type { Step } from './step.js';
import { scancodesOf } from './scancodes.js';

/** A command and what another tool sent for it. */
export interface Recording {
  readonly name: string;
  readonly command: readonly string[];
  readonly sent: readonly string[];
}

/** Reads what another tool was seen to send. */
export function recordings(file: string): readonly Recording[] {
  const text = readFileSync(new URL(file, import.meta.url), 'utf8');
  return (JSON.parse(text) as { recordings: readonly Recording[] }).recordings;
}

/** What a guest notices: keys going down, each with the modifiers held then, and pauses in milliseconds. */
export type Noticed = string | number;

const MODIFIERS: Readonly<Record<string, string>> = {
  '2a': 'shift',
  '36': 'shift',
  '1d': 'ctrl',
  e01d: 'ctrl',
  '38': 'alt',
  e038: 'altgr',
  e05b: 'super',
  e05c: 'super',
};

/** A guest's keyboard driver for set 1. Numbers are pauses; those that follow each other are one. */
export function notice(events: readonly (string | number)[]): Noticed[] {
  const held = new Map<string, string>();
  const seen: Noticed[] = [];
  let prefix = '';
  for (const event of events.flatMap((one): (string | number)[] =>
    typeof one === 'number' ? [one] : one.split(' '),
  )) {
    if (typeof event === 'number') {
      const last = seen.at(-1);
      if (typeof last === 'number') seen[seen.length - 1] = last + event;
      else seen.push(event);
    } else if (event === 'e0') {
      prefix = event;
    } else {
      const byte = Number.parseInt(event, 16);
      const key = prefix + (byte & 0x7f).toString(16).padStart(2, '0');
      const modifier = MODIFIERS[key];
      prefix = '';
      if (byte < 0x80) seen.push([...new Set(held.values()), key].join('+'));
      if (modifier !== undefined && byte < 0x80) held.set(key, modifier);
      if (byte >= 0x80) held.delete(key);
    }
  }
  return seen;
}

/** What our steps send. */
export function sent(steps: readonly Step[]): (string | number)[] {
  return steps.flatMap((step): (string | number)[] => {
    if (step.kind === 'wait') return [step.milliseconds];
    if (step.kind !== 'keys') throw new Error(`not in a recording: ${step.kind}`);
    return step.keys.map((key) =>
      scancodesOf(key)
        .map((code) => code.toString(16).padStart(2, '0'))
        .join(' '),
    );
  });
}
