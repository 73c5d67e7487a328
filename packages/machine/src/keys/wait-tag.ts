import type { Step } from './step.js';

/** Longest time that a tag may name, in milliseconds: a day. Timers end at 24 days, and patience earlier. */
const LONGEST = 86_400_000;

/** How long nothing may change on a screen that is called still, when the tag does not say: more than a cursor's blinking. */
const STILL = 2000;
const STILL_LIMIT = 120_000;
const TEXT_LIMIT = 300_000;

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const PAUSE = /^wait\s*(\d.*)?$/i;
const STILL_FORM =
  /^wait\s+until\s+(?:the\s+)?screen\s+is\s+still(?:\s+for\s+(\S+))?(?:\s+(?:within\s+)?(?!for\b|within\b)(\S+))?$/i;
const TEXT_FORM =
  /^wait\s+for\s+(?:the\s+)?text\s+"((?:[^"\\]|\\.)*)"\s+on\s+(?:the\s+)?serial\s+console(?:\s+(?:within\s+)?(?!within\b)(\S+))?$/i;

/** The three ways to wait, as messages name them. */
export const WAIT_FORMS =
  '<wait5>, <wait500ms> or <wait1m20s>; <wait until screen is still>; <wait for text "login:" on the serial console>; ' +
  'a time behind the last two is how long that may take';

/** What a tag that begins with `wait` asks for, or why it cannot be told. `inside` is what stands between < and >. */
export function waitStep(inside: string): Step | string {
  const tag = inside.trim();
  const pause = PAUSE.exec(tag);
  if (pause !== null) return withTimes([pause[1] ?? '1'], ([milliseconds = 0]) => ({ kind: 'wait', milliseconds }));
  const still = STILL_FORM.exec(tag);
  if (still !== null)
    return withTimes([still[1], still[2]], ([time = STILL, limit = Math.max(STILL_LIMIT, 2 * time)]) =>
      limit < time ? 'the screen has to be still for longer than it may take' : { kind: 'still', still: time, limit },
    );
  const found = TEXT_FORM.exec(tag);
  if (found === null) return 'it is not one of the ways to wait';
  const text = (found[1] ?? '').replaceAll(/\\(.)/g, '$1');
  if (text.trim() === '') return 'no text is on every console';
  return withTimes([found[2]], ([limit = TEXT_LIMIT]) => ({ kind: 'text', text, limit }));
}

function withTimes(
  written: readonly (string | undefined)[],
  make: (times: readonly (number | undefined)[]) => Step | string,
): Step | string {
  const times = written.map((one) => (one === undefined ? undefined : milliseconds(one)));
  const wrong = times.findIndex((time) => typeof time === 'string');
  return wrong < 0 ? make(times as readonly (number | undefined)[]) : String(times[wrong]);
}

/** A number of seconds, or numbers with units behind each other, largest unit first or not: `1m20s`, `1.5h`. */
function milliseconds(written: string): number | string {
  const text = written.toLowerCase().replaceAll('\u03bc', '\u00b5');
  if (!/^(?:\d+|(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)$/.test(text)) return `${written} is not a time`;
  const parts = /^\d+$/.test(text) ? [[text, text, 's']] : [...text.matchAll(/([\d.]+)([a-zµ]+)/g)];
  const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ''] ?? NaN), 0);
  if (total <= 0) return `${written} is no time at all`;
  return total <= LONGEST ? total : `${written} is longer than a day`;
}
