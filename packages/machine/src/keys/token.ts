import { suggest } from '@polyvisor/core';
import type { Key } from '../key.js';
import { KEY_TAGS, keyOfTag } from './key-tags.js';
import type { Step } from './step.js';
import { WAIT_FORMS, waitStep } from './wait-tag.js';

/** The next piece of keystroke notation, and how long it is. */
export type Token = { readonly length: number } & Meaning;

type Meaning =
  /** To be typed by what the layout says. */
  | { readonly kind: 'character'; readonly character: string; readonly action: Key['action'] }
  | { readonly kind: 'key'; readonly key: Key }
  | { readonly kind: 'wait'; readonly step: Step }
  /** Where a template has a value. */
  | { readonly kind: 'value' }
  | { readonly kind: 'problem'; readonly message: string; readonly hint?: string };

// Control characters (\p{Cc}) are in none of these: whatever has one is reported character by character.
const VALUE = /<%[^%\p{Cc}]*%>|%(?:IP|PORT|NAME)%|\{\{[^{}\p{Cc}]*\}\}/uy;
const HELD_CHARACTER = /<(\P{Cc})(on|off)>/iuy;
/** The quoted text of a wait may hold anything; nothing else in a tag is quoted. */
const WAIT_FOR_TEXT = /<(wait\s+for\s[^"<>\p{Cc}]*"(?:[^"\\\p{Cc}]|\\\P{Cc})*"[^"<>\p{Cc}]*)>/iuy;
const TAG = /<([a-z0-9][^<>\p{Cc}]*)>/iuy;
const UNCLOSED = /<([a-z0-9][^\s<>\p{Cc}]*)/iuy;
/** A tag that something slipped into, such as `< enter>` or `</enter>`. */
const NEARLY = /<[^a-z0-9<>\p{Cc}]{0,4}([a-z0-9]+)[^a-z0-9<>\p{Cc}]{0,4}>/iuy;

const LITERAL = 'write <lt> for the character <';

/**
 * Reads one piece at `at`. A < is itself where no tag can begin, and in `<<WORD`, as shells have it: `afterLess` says that the
 * piece before was a < of its own. A tag that is not known is a problem and never typed.
 */
export function tokenAt(text: string, at: number, afterLess: boolean): Token {
  const value = match(VALUE, text, at);
  if (value !== undefined) return { kind: 'value', length: value[0].length };
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
  const itself: Token = { kind: 'character', character, action: 'type', length: character.length };
  if (character !== '<') return itself;

  const held = match(HELD_CHARACTER, text, at);
  if (held !== undefined) {
    const action = held[2]?.toLowerCase() === 'on' ? 'down' : 'up';
    return { kind: 'character', character: held[1] ?? '', action, length: held[0].length };
  }
  const tag = match(WAIT_FOR_TEXT, text, at) ?? match(TAG, text, at);
  if (tag !== undefined) {
    const meaning = meaningOf(tag[1] ?? '');
    if (meaning.kind === 'problem' && afterLess && isHereDocument(tag[1] ?? '')) return itself;
    return { ...meaning, length: tag[0].length };
  }
  const unclosed = match(UNCLOSED, text, at);
  if (unclosed !== undefined && !afterLess)
    return { ...unfinished(unclosed[0], unclosed[1] ?? ''), length: unclosed[0].length };
  const nearly = match(NEARLY, text, at);
  if (!afterLess && nearly !== undefined && keyOfTag(nearly[1] ?? '') !== undefined) {
    const message = `${nearly[0]} is not a tag; did you mean <${nearly[1]}>?`;
    return { kind: 'problem', message, hint: LITERAL, length: nearly[0].length };
  }
  return itself;
}

function meaningOf(inside: string): Meaning {
  const key = keyOfTag(inside);
  if (key !== undefined) return { kind: 'key', key };
  const literal = { lt: '<', gt: '>' }[inside.toLowerCase()];
  if (literal !== undefined) return { kind: 'character', character: literal, action: 'type' };
  if (/^wait/i.test(inside)) {
    const step = waitStep(inside);
    if (typeof step !== 'string') return { kind: 'wait', step };
    return { kind: 'problem', message: `<${shortened(inside)}>: ${step}`, hint: `write ${WAIT_FORMS}` };
  }
  const meant = guess(inside);
  const question = meant === undefined ? '' : `; did you mean <${meant}>?`;
  return { kind: 'problem', message: `no key is called <${shortened(inside)}>${question}`, hint: LITERAL };
}

/** Whether this, behind `<<`, is a word and more of a shell's line, and not a tag that was misspelt. */
function isHereDocument(inside: string): boolean {
  return !/^wait/i.test(inside) && (/\s/.test(inside) || guess(inside) === undefined);
}

function unfinished(written: string, inside: string): Meaning {
  const known = keyOfTag(inside) !== undefined || /^wait/i.test(inside);
  const meant = known
    ? `a > is missing behind ${shortened(written)}`
    : `${shortened(written)} begins a tag that has no >`;
  return { kind: 'problem', message: meant, hint: LITERAL };
}

function guess(inside: string): string | undefined {
  return suggest(inside, ['wait', ...KEY_TAGS]);
}

function shortened(inside: string): string {
  return inside.length <= 60 ? inside : `${inside.slice(0, 57)}...`;
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}
