import type { Key } from '../key.js';

/** One thing that keystrokes ask for; they follow each other. Times are in milliseconds. */
export type Step =
  /** `written` is the notation that these keys come from, for people. */
  | { readonly kind: 'keys'; readonly keys: readonly Key[]; readonly written?: string }
  | { readonly kind: 'wait'; readonly milliseconds: number }
  /** Until nothing new was seen on the screen for `still`. */
  | { readonly kind: 'still'; readonly still: number; readonly limit: number }
  /** Until the serial console shows `text`, behind where the text of an earlier step was found. */
  | { readonly kind: 'text'; readonly text: string; readonly limit: number };

/** A step as far as it is known before a build: the value of a template is a step of its own. */
export type OutlineStep = Step | { readonly kind: 'value'; readonly written: string };

/** Longest wait that others are added to, in milliseconds: timers end at 24 days. */
const LONGEST_JOINED = 86_400_000;

/**
 * Collects steps; what is one to people becomes one: keys behind keys, a wait behind a wait. The list's last step is
 * extended in place, so the arrays of what is added belong to the list.
 */
export function append(steps: OutlineStep[], next: OutlineStep): void {
  const last = steps.at(-1);
  if (last?.kind === 'keys' && next.kind === 'keys') {
    (last.keys as Key[]).push(...next.keys);
    steps[steps.length - 1] = { ...last, written: `${last.written ?? ''}${next.written ?? ''}` };
  } else if (last?.kind === 'wait' && next.kind === 'wait' && last.milliseconds < LONGEST_JOINED) {
    steps[steps.length - 1] = { ...last, milliseconds: last.milliseconds + next.milliseconds };
  } else {
    steps.push(next.kind === 'keys' ? { ...next, keys: [...next.keys] } : next);
  }
}
